import type { JobEvent } from '@letswriteabook/realtime-client'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { mostEvents, Timeline, watchedEvents } from '../src/timeline.js'

const at = '2026-01-01T00:00:00Z'
const event = (sequence: number): JobEvent => ({ kind: 'domain', jobId: 'job', emittedAt: at, event: { type: 'step', occurredAt: at }, sequence })
const status = (word: 'queued' | 'running', sequence?: number): JobEvent =>
  ({ kind: 'job-status', jobId: 'job', emittedAt: at, status: word, snapshot: null, ...(sequence !== undefined && { sequence }) })
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)
const sequences = (timeline: Timeline) => timeline.view().events.map(({ sequence }) => sequence)

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

test('events are told in bundles, each once, in order', () => {
  const timeline = new Timeline()
  const listener = vi.fn()
  timeline.subscribe(listener)
  for (const sequence of [1, 3, 3, 2, 7]) timeline.add(event(sequence))
  expect(listener).not.toHaveBeenCalled()
  expect(timeline.newest).toBe(7)
  vi.advanceTimersByTime(1000)
  expect(listener).toHaveBeenCalledTimes(1)
  expect(sequences(timeline)).toEqual([1, 3, 7])
  expect(timeline.view().known).toBe(true)
})

test('what is only watched stays bounded, at the old end', () => {
  const timeline = new Timeline()
  for (const sequence of range(1, 3 * watchedEvents)) timeline.add(event(sequence))
  vi.runAllTimers()
  expect(sequences(timeline)).toEqual(range(2 * watchedEvents + 1, 3 * watchedEvents))
})

test('older events are kept beside the new ones, without a hole, up to a bound, until they are folded', () => {
  const timeline = new Timeline()
  for (const sequence of range(5001, 5000 + watchedEvents)) timeline.add(event(sequence))
  vi.runAllTimers()
  timeline.unfold()
  timeline.add(event(6000)) // meanwhile
  vi.runAllTimers()
  timeline.prepend(range(4901, 5001).map(event), 5001) // the last is there already
  expect(sequences(timeline)).toEqual([...range(4901, 5000 + watchedEvents), 6000])
  for (const sequence of range(6001, 6000 + mostEvents)) timeline.add(event(sequence))
  vi.runAllTimers()
  expect(sequences(timeline)).toEqual(range(6001, 6000 + mostEvents))
  timeline.fold()
  expect(sequences(timeline)).toEqual(range(6001 + mostEvents - watchedEvents, 6000 + mostEvents))
})

test('a page of older events that does not meet the rest is passed over', () => {
  const timeline = new Timeline()
  for (const sequence of range(100, 100 + watchedEvents)) timeline.add(event(sequence))
  vi.runAllTimers()
  timeline.prepend([event(99)], 100)
  expect(sequences(timeline)).toEqual(range(101, 100 + watchedEvents))
  expect(timeline.view().beginning).toBe(false)
})

test('an empty page of older events is the beginning, until something is forgotten', () => {
  const timeline = new Timeline()
  timeline.add(event(1))
  vi.runAllTimers()
  timeline.prepend([], 1)
  expect(timeline.view().beginning).toBe(true)
  expect(sequences(timeline)).toEqual([1])
  for (const sequence of range(2, 2 * watchedEvents)) timeline.add(event(sequence))
  vi.runAllTimers()
  expect(timeline.view().beginning).toBe(false)
})

test('an answer that is all there is makes a beginning, which a full timeline loses', () => {
  const timeline = new Timeline()
  timeline.add(event(1))
  timeline.answered(true)
  vi.runAllTimers()
  expect(timeline.view()).toMatchObject({ known: true, beginning: true })
  timeline.answered()
  for (const sequence of range(2, watchedEvents + 1)) timeline.add(event(sequence))
  vi.runAllTimers()
  expect(timeline.view().beginning).toBe(false)
})

test('a status without a sequence is the head, and no event', () => {
  const timeline = new Timeline()
  timeline.add(status('queued'))
  vi.runAllTimers()
  expect(timeline.view().head).toMatchObject({ status: 'queued' })
  timeline.add(status('running')) // an older writer numbers nothing
  vi.runAllTimers()
  expect(timeline.view().head).toMatchObject({ status: 'running' })
  expect(sequences(timeline)).toEqual([])
  timeline.add(status('running', 4))
  timeline.add(status('queued', 4))
  timeline.add(status('queued')) // what was, shown once more
  vi.runAllTimers()
  expect(timeline.view().head).toMatchObject({ status: 'running' })
})

test('a line stands after what was there before, for as long as that is there', () => {
  const timeline = new Timeline()
  timeline.add(event(1))
  timeline.breakHere(0, 1)
  timeline.breakHere(3, undefined)
  timeline.breakHere(2, 1)
  for (const sequence of [2, 3]) timeline.add(event(sequence))
  vi.runAllTimers()
  expect(timeline.view().breaks).toEqual([{ after: 1, missed: 2 }])
  for (const sequence of range(4, 2 * watchedEvents)) timeline.add(event(sequence))
  vi.runAllTimers()
  expect(timeline.view().breaks).toEqual([])
})

test('a log that is another one starts from nothing', () => {
  const timeline = new Timeline()
  timeline.add(event(900))
  timeline.clear()
  timeline.add(event(1))
  vi.runAllTimers()
  expect(sequences(timeline)).toEqual([1])
})

test('positions are whole, and events of two logs are never put together', () => {
  const timeline = new Timeline()
  expect(timeline.position).toBe(undefined)
  timeline.within('e1')
  for (const sequence of [7, 9]) timeline.add(event(sequence))
  expect([timeline.position, timeline.positionOf(7)]).toEqual(['e1:9', 'e1:7'])
  timeline.within(undefined) // of what is not in the log
  timeline.within('e1')
  expect(timeline.position).toBe('e1:9')
  timeline.within('e2')
  timeline.add(event(3))
  vi.runAllTimers()
  expect(sequences(timeline)).toEqual([3])
  expect(timeline.position).toBe('e2:3')
})
