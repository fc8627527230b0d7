import type { JobEvent, JobStatusEvent } from '../contract.js'

/** How many events of a job are kept. */
export const maxEvents = 1000

/** An event in the cache. One that is in the log has the epoch in which its sequence counts, where the gateway has said it. */
export type Cached<Event extends JobEvent = JobEvent> = Event & { epoch?: string }

/** The event with the epoch in which its sequence counts. */
export function inEpoch<Event extends JobEvent>(event: Event, epoch: string | undefined): Cached<Event> {
  return event.sequence === undefined || epoch === undefined ? event : { ...event, epoch }
}

/**
 * Puts events into a list, oldest first. Epoch and sequence guard it: what is there
 * already is not added, whichever way it came, what comes late takes its place, and
 * events of another log than that of the added ones are dropped. Returns the same
 * list when nothing is new.
 */
export function mergeEvents(before: readonly Cached[], more: readonly Cached[]): readonly Cached[] {
  const epoch = more.find((event) => event.epoch !== undefined)?.epoch
  const kept = epoch === undefined || before.every(sameLog(epoch)) ? before : before.filter(sameLog(epoch))
  const last = kept.findLast(({ sequence }) => sequence !== undefined)?.sequence ?? 0
  const inOrder = more.every(({ sequence }, at) => sequence !== undefined && sequence > (more[at - 1]?.sequence ?? last))
  if (inOrder) return more.length === 0 ? kept : [...kept, ...more].slice(-maxEvents)
  const known = new Set(kept.map(identity))
  const added = more.filter((event) => !known.has(identity(event)) && known.add(identity(event)))
  if (added.length === 0) return kept
  // Events that are not in the log are older than all that are.
  return [...kept, ...added].sort((a, b) => (a.sequence ?? 0) - (b.sequence ?? 0)).slice(-maxEvents)
}

/**
 * Puts a fetched page, oldest first, into a list. A page that begins after the end of the
 * list may have a hole before it, so it takes the place of the list.
 */
export function mergePage(before: readonly Cached[], page: readonly Cached[]): readonly Cached[] {
  const newest = before.findLast(({ sequence }) => sequence !== undefined)?.sequence
  const oldest = page[0]?.sequence // undefined for a page with the job's oldest events, which are not in the log
  return mergeEvents(newest !== undefined && oldest !== undefined && oldest > newest ? [] : before, page)
}

/** The later one of two states of a job. Those without a sequence are older than all that have one, and come in their order. Of two logs, the one of `after` counts. */
export function laterStatus(before: Cached<JobStatusEvent> | null | undefined, after: Cached<JobStatusEvent>): Cached<JobStatusEvent> {
  if (!before || (after.epoch !== undefined && !sameLog(after.epoch)(before))) return after
  return (after.sequence ?? 0) <= (before.sequence ?? -1) ? before : after
}

/** Whether an event is in the log of an epoch, or in none. */
function sameLog(epoch: string): (event: Cached) => boolean {
  return (event) => event.sequence === undefined || event.epoch === epoch
}

function identity(event: JobEvent): number | string {
  return event.sequence ?? JSON.stringify(event)
}
