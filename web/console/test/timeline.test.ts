import { expect, test } from 'vitest'
import { append, type Event, indexAt, maxEvents, prepend, stateAt, type Timeline, title } from '../src/timeline.js'

function event(sequence: number, envelope: unknown, kind = 'domain'): Event {
  return { sequence, epoch: 'e', kind, emittedAt: '2026-01-01T00:00:00Z', storedAt: '2026-01-01T00:00:00Z', envelope }
}
const status = (sequence: number, value: string, snapshot?: unknown) => event(sequence, { status: value, snapshot }, 'job-status')
const happened = (sequence: number, type: string) => event(sequence, { event: { type } })
const of = (...events: Event[]): Timeline => ({ events, older: false, atHead: false })

test('the state at an event is that of the last status before it', () => {
  const events = [status(1, 'queued'), happened(4, 'a'), status(6, 'running', { n: 1 }), happened(9, 'a')]
  expect(stateAt(events, 1)).toMatchObject({ status: 'queued', snapshot: null, counts: [['job-status queued', 1], ['domain a', 1]] })
  expect(stateAt(events, 3)).toMatchObject({ status: 'running', snapshot: { n: 1 } })
  expect(stateAt(events, -1)).toMatchObject({ status: undefined, counts: [] })
})

test('a sequence without an event is where the event before it is', () => {
  const events = [happened(2, 'a'), happened(5, 'b')]
  expect([1, 2, 4, 5, 9].map((sequence) => indexAt(events, sequence))).toEqual([-1, 0, 0, 1, 1])
})

test('pages are joined without repeats, and an empty one is the head', () => {
  const first = append(of(happened(1, 'a'), happened(2, 'a')), { items: [happened(2, 'a'), happened(3, 'a')], before: 0 })
  expect(first.events.map(({ sequence }) => sequence)).toEqual([1, 2, 3])
  expect(first.atHead).toBe(false)
  expect(append(first, { items: [], before: 0 }).atHead).toBe(true)
  const earlier = prepend(of(happened(3, 'a')), { items: [happened(1, 'a'), happened(3, 'a')], before: 1 })
  expect(earlier.events.map(({ sequence }) => sequence)).toEqual([1, 3])
  expect(earlier.older).toBe(true)
})

test('a timeline is bounded, and says what it left out', () => {
  const many = Array.from({ length: maxEvents }, (_, i) => happened(i + 10, 'a'))
  const longer = append(of(...many), { items: [happened(maxEvents + 10, 'b')], before: 0 })
  expect(longer.events).toHaveLength(maxEvents)
  expect(longer.older).toBe(true)
  const earlier = prepend({ ...of(...many), atHead: true }, { items: [happened(1, 'b')], before: 0 })
  expect(earlier.events).toHaveLength(maxEvents)
  expect(earlier.atHead).toBe(false)
})

test('bytes that are no JSON have a title', () => {
  expect(title(event(1, null))).toBe('no JSON')
  expect(title(event(1, { status: { not: 'text' } }))).toBe('')
})
