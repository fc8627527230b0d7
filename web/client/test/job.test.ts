import { describe, expect, test } from 'vitest'
import type { JobEvent } from '../src/index.js'
import { Job, Listener } from '../src/job.js'
import type { Diagnostic } from '../src/options.js'
import { EventStreamParser } from '../src/sse.js'

/** A job with one listener that is served. What a gateway of today does not send can only be tested here. */
function followed(): { job: Job; events: JobEvent[]; diagnostics: Diagnostic[]; add: () => JobEvent[] } {
  const diagnostics: Diagnostic[] = []
  const job = new Job('job-1', (diagnostic) => diagnostics.push(diagnostic))
  const add = () => {
    const events: JobEvent[] = []
    const listener = new Listener({ onEvent: (event) => events.push(event) })
    job.listeners.add(listener)
    job.opened([listener])
    return events
  }
  return { job, events: add(), diagnostics, add }
}

const event = (sequence: number | undefined, more: object = {}) =>
  ({ kind: 'domain', jobId: 'job-1', emittedAt: '', event: { type: 'x', occurredAt: '' }, ...(sequence !== undefined && { sequence }), ...more }) as JobEvent

describe('a job', () => {
  test('passes over later versions with a diagnostic, and goes on after them', () => {
    const { job, events, diagnostics } = followed()
    job.event(event(1))
    job.event(event(2, { version: 2 }))
    job.event(event(3, { version: 1 }))
    expect(events.map(({ sequence }) => sequence)).toEqual([1, 3])
    expect(diagnostics).toEqual([{ code: 'unsupported-version', jobId: 'job-1', version: 2, sequence: 2 }])
    expect(job.next().since).toBe(3)
  })

  test('tells what has no sequence once, and to those who come later', () => {
    const { job, events, add } = followed()
    job.event(event(undefined, { id: 'a' }))
    job.event(event(undefined, { id: 'a' }))
    job.event(event(undefined, { id: 'b' }))
    job.event(event(7))
    expect(events.map(({ id }) => id)).toEqual(['a', 'b', undefined])
    expect(add().map(({ id }) => id)).toEqual(['a', 'b'])
  })

  test('tells a replay as often as it comes, and to nobody later', () => {
    const { job, events, add } = followed()
    const replay = { replay: { jobId: 'job-1', sequence: 4, epoch: 'e', run: 'r' } }
    job.event(event(9))
    job.event(event(undefined, replay))
    job.event(event(undefined, replay))
    expect(events.map(({ sequence }) => sequence)).toEqual([9, undefined, undefined])
    expect(job.next().since).toBe(9)
    expect(add()).toEqual([])
  })

  test('gives a position out once its epoch is known', () => {
    const { job } = followed()
    const positions: unknown[] = []
    const listener = new Listener({ onEvent: (_, { position }) => positions.push(position) })
    job.listeners.add(listener)
    job.opened([listener])
    job.event(event(7))
    job.caughtUp({ jobId: 'job-1', from: 6, to: 8, replayed: 1, source: 'log', position: 'e:8' })
    expect(job.epoch).toBe('e')
    job.event(event(9))
    expect(positions).toEqual([undefined, 'e:9'])
  })

  test('drops repeats by sequence', () => {
    const { job, events } = followed()
    for (const sequence of [1, 4, 1, 4, 2, 9, 9]) job.event(event(sequence))
    expect(events.map(({ sequence }) => sequence)).toEqual([1, 4, 9])
  })

  test('an erasure is told to everybody once, and positions before it are no more', () => {
    const { job } = followed()
    const gaps: string[] = []
    const listener = new Listener({ since: 5, onGap: ({ reason }) => gaps.push(reason) })
    job.listeners.add(listener)
    job.opened([listener])
    job.event(event(6))
    job.gap({ jobId: 'job-1', requested: 6, firstAvailable: 10, reason: 'erased' })
    expect(gaps).toEqual(['erased'])
    expect(job.next().since).toBe(9)
    job.gap({ jobId: 'job-1', requested: 6, firstAvailable: 10, reason: 'retention' })
    expect(gaps).toEqual(['erased'])
  })
})

test('an event stream is taken apart wherever it is cut', () => {
  const text = ': stream of job events\n\nevent: a\nid: 4\ndata: {"x":"event: b"}\n\n: \n\nevent: b\ndata: {"y":"ü"}\n\nevent: c\ndata: {'
  const want = [{ event: 'a', data: '{"x":"event: b"}', id: '4' }, { event: 'b', data: '{"y":"ü"}' }]
  for (let cut = 0; cut <= text.length; cut++) {
    const parser = new EventStreamParser()
    expect([...parser.push(text.slice(0, cut)), ...parser.push(text.slice(cut))]).toEqual(want)
  }
})
