import { type Answer, get } from './api/client.js'

export type Event = Answer<'/job/events'>['items'][number]

/** Events of one job, oldest first, without holes. */
export interface Timeline {
  events: Event[]
  /** There are older events than the first one. */
  older: boolean
  /** The last one was the newest of the log when it was read. */
  atHead: boolean
}

/** The events that the page holds at most. */
export const maxEvents = 5000
const pageRows = 200

type Page = Pick<Answer<'/job/events'>, 'items' | 'before'>

/** Loads the newest events, or those around a sequence. */
export async function load(jobId: string, around: number | undefined, signal: AbortSignal): Promise<Timeline> {
  if (around === undefined) {
    const page = await get('/job/events', { jobId, limit: pageRows }, signal)
    return { events: page.items, older: page.before > 0, atHead: true }
  }
  const page = await get('/job/events', { jobId, before: around + 1, limit: pageRows }, signal)
  return newer(jobId, { events: page.items, older: page.before > 0, atHead: false }, signal, around)
}

/** Adds the page after the last event. */
export async function newer(jobId: string, timeline: Timeline, signal: AbortSignal, from = 0): Promise<Timeline> {
  const after = timeline.events.at(-1)?.sequence ?? from
  const page = await get('/job/events', { jobId, after, limit: pageRows }, signal)
  return append(timeline, page)
}

/** Adds the page before the first event. */
export async function older(jobId: string, timeline: Timeline, signal: AbortSignal): Promise<Timeline> {
  const before = timeline.events[0]?.sequence
  if (before === undefined) return timeline
  return prepend(timeline, await get('/job/events', { jobId, before, limit: pageRows }, signal))
}

export function append(timeline: Timeline, page: Page): Timeline {
  const last = timeline.events.at(-1)?.sequence ?? 0
  const added = page.items.filter(({ sequence }) => sequence > last)
  // A page ends at its bytes as well as at its rows, so that only an empty one is the end.
  if (added.length === 0) return timeline.atHead ? timeline : { ...timeline, atHead: true }
  const events = [...timeline.events, ...added]
  const cut = Math.max(0, events.length - maxEvents)
  return { events: events.slice(cut), older: timeline.older || cut > 0, atHead: timeline.atHead }
}

export function prepend(timeline: Timeline, page: Page): Timeline {
  const first = timeline.events[0]?.sequence ?? Infinity
  const events = [...page.items.filter(({ sequence }) => sequence < first), ...timeline.events]
  return { events: events.slice(0, maxEvents), older: page.before > 0, atHead: timeline.atHead && events.length <= maxEvents }
}

/** What an event is, in a few words: its status, or the type of what happened. */
export function title(event: Event): string {
  const envelope = event.envelope as { status?: unknown; event?: { type?: unknown } } | null
  const text = envelope?.status ?? envelope?.event?.type
  return typeof text === 'string' ? text : event.envelope === null ? 'no JSON' : ''
}

/** What of an event is worth a glance: short values of its own. */
export function glance(event: Event): string {
  const envelope = event.envelope as { event?: Record<string, unknown>; snapshot?: unknown } | null
  const { type: _type, occurredAt: _occurredAt, ...rest } = envelope?.event ?? {}
  const shown = Object.keys(rest).length > 0 ? rest : (envelope?.snapshot ?? null)
  return shown === null ? '' : JSON.stringify(shown).slice(0, 200)
}

/** A job as it was at one event. */
export interface State {
  status: string | undefined
  statusAt: string | undefined
  snapshot: unknown
  /** The events up to then by kind and title, the most frequent first. */
  counts: [string, number][]
}

/** Folds the events up to an index, which is included. */
export function stateAt(events: readonly Event[], index: number): State {
  const state: State = { status: undefined, statusAt: undefined, snapshot: undefined, counts: [] }
  const counts = new Map<string, number>()
  for (const event of events.slice(0, index + 1)) {
    const name = `${event.kind} ${title(event)}`
    counts.set(name, (counts.get(name) ?? 0) + 1)
    const envelope = event.envelope as { status?: unknown; snapshot?: unknown } | null
    if (event.kind === 'job-status' && typeof envelope?.status === 'string') {
      state.status = envelope.status
      state.statusAt = event.emittedAt
      state.snapshot = envelope.snapshot ?? null
    }
  }
  state.counts = [...counts].sort((a, b) => b[1] - a[1])
  return state
}

/** The index of the last event at or before a sequence; -1 when all are after it. */
export function indexAt(events: readonly Event[], sequence: number): number {
  return events.findLastIndex((event) => event.sequence <= sequence)
}
