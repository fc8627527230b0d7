import { expect, test } from 'vitest'
import { type Note, stages, ways } from '../src/way.js'

const at = (ms: number) => new Date(Date.parse('2026-01-01T00:00:00Z') + ms).toISOString()
const note = (sequence: number, stage: string, ms: number, more: Partial<Note> = {}): Note => ({ gateway: 'one', jobId: 'j', sequence, stage, at: at(ms), ...more })

test('the notes of all gateways are grouped by event, the newest first', () => {
  const found = ways([
    note(1, 'logging', 0), note(1, 'logged', 3), note(2, 'logging', 5), note(1, 'delivered', 9, { gateway: 'two', receivers: 4, fellBack: 1 }),
    note(1, 'delivered', 6, { receivers: 2 }), note(1, 'logging', 20), note(1, 'logged', 21, { duplicate: true, gateway: 'two' }),
  ])
  expect(found.map(({ sequence }) => sequence)).toEqual([2, 1])
  expect(found[0]?.loggedAt).toBeUndefined()
  expect(found[1]).toMatchObject({ storedBy: 'one', duplicates: 1, loggingAt: Date.parse(at(0)), loggedAt: Date.parse(at(3)) })
  expect(found[1]?.deliveries).toMatchObject([{ gateway: 'one', receivers: 2 }, { gateway: 'two', receivers: 4, fellBack: 1 }])
})

test('an event that no process has notes of has the stages that the log has', () => {
  expect(stages(undefined, at(0), at(4)).map(({ name }) => name)).toEqual(['Emitted', 'In the log'])
  expect(stages(undefined, 'no time', at(4)).map(({ name }) => name)).toEqual(['In the log'])
})

test('the stages of an event go from the worker to each delivery', () => {
  const [way] = ways([note(1, 'logging', 2), note(1, 'logged', 3), note(1, 'delivered', 6, { receivers: 1 }), note(1, 'delivered', 9, { gateway: 'two', receivers: 4, fellBack: 1 })])
  expect(stages(way, at(0), at(3)).map(({ name, where, note: text }) => `${name} ${where} ${text}`.trim())).toEqual([
    'Emitted worker', 'Being stored one', 'In the log one', 'Delivered one 1 client', 'Delivered two 4 clients, 1 with a full queue',
  ])
})

test('the stages before and beside the log have their place', () => {
  const [way] = ways([
    { gateway: 'one', jobId: 'j', id: 'x', stage: 'received', detail: 'redis', at: at(1) }, note(1, 'logging', 2, { id: 'x' }), note(1, 'logged', 3, { id: 'x' }),
    note(1, 'repaired', 5, { gateway: 'two' }), note(1, 'projected', 8, { detail: 'history', tookSeconds: 0.0042 }),
  ])
  expect(stages(way, at(0), at(3)).map(({ name, where, note: text }) => `${name} ${where} ${text}`.trim())).toEqual([
    'Emitted worker', 'Received one from Redis', 'Being stored one', 'In the log one', 'Repaired two missed live, read from the log', 'In MongoDB one history, written in 4.2 ms',
  ])
})
