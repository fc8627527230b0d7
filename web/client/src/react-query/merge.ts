import type { JobEvent, JobStatusEvent } from '../contract.js'

/** How many events of a job are kept. */
export const maxEvents = 1000

/**
 * Puts events into a list, oldest first. The sequence guards it: what is there
 * already is not added, whichever way it came, and what comes late takes its
 * place. Returns the same list when nothing is new.
 */
export function mergeEvents(before: readonly JobEvent[], more: readonly JobEvent[]): readonly JobEvent[] {
  const last = before.findLast(({ sequence }) => sequence !== undefined)?.sequence ?? 0
  const inOrder = more.every(({ sequence }, at) => sequence !== undefined && sequence > (more[at - 1]?.sequence ?? last))
  if (inOrder) return more.length === 0 ? before : [...before, ...more].slice(-maxEvents)
  const known = new Set(before.map(identity))
  const added = more.filter((event) => !known.has(identity(event)) && known.add(identity(event)))
  if (added.length === 0) return before
  // Events that are not in the log are older than all that are.
  return [...before, ...added].sort((a, b) => (a.sequence ?? 0) - (b.sequence ?? 0)).slice(-maxEvents)
}

/** The later one of two states of a job. Those without a sequence are older than all that have one, and come in their order. */
export function laterStatus(before: JobStatusEvent | null | undefined, after: JobStatusEvent): JobStatusEvent {
  return before && (after.sequence ?? 0) <= (before.sequence ?? -1) ? before : after
}

function identity(event: JobEvent): number | string {
  return event.sequence ?? JSON.stringify(event)
}
