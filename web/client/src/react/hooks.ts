import { useCallback, useEffect, useMemo, useRef, useSyncExternalStore } from 'react'
import type { JobEvent, JobStatusEvent } from '../contract.js'
import type { Gap } from '../generated.js'
import type { Status } from '../status.js'
import { useRealtime } from './provider.js'
import { emptyView, type EventHandler, JobStore, type JobView, storesOf, type Told } from './store.js'

export interface JobEventsOptions {
  /** How many of the newest events to return; 0 is none. Default, and at most, 1000. */
  limit?: number
  /**
   * Called once for each event, outside of rendering; for example for toasts. A component that
   * is mounted later receives the earlier events, at most the newest 1000.
   * `replayed` distinguishes history from live events.
   */
  onEvent?: EventHandler
}

export interface JobEvents {
  /** Oldest first. */
  events: readonly JobEvent[]
  /** The status of the subscription, with the reason. */
  status: Status
  /** The last gap, if there was one. */
  gap: Gap | undefined
}

export interface JobStatus {
  /** The job's state; undefined until it is known. */
  state: JobStatusEvent['status'] | undefined
  snapshot: JobStatusEvent['snapshot']
  emittedAt: string | undefined
  sequence: number | undefined
  /** The status of the subscription, with the reason. */
  status: Status
}

/** The view of a job, shared by all components that follow it. Without a jobId, no job is followed. */
function useJobView(jobId: string | undefined, told?: Told): JobView {
  const client = useRealtime()
  const stores = storesOf(client)
  const subscribe = useCallback((changed: () => void) => {
    if (jobId === undefined) return () => {}
    const { value: store, release } = stores.use(jobId, () => new JobStore(client, jobId))
    const ends = [store.onChange(changed), told && store.onEvent(told), release]
    return () => ends.forEach((end) => end?.())
  }, [client, jobId, stores, told])
  const view = () => (jobId === undefined ? undefined : stores.peek(jobId)?.view) ?? emptyView
  return useSyncExternalStore(subscribe, view, () => emptyView)
}

/** Follows a job and returns its events. */
export function useJobEvents(jobId: string | undefined, { limit, onEvent }: JobEventsOptions = {}): JobEvents {
  const { current: told } = useRef<Told>({ handler: onEvent, store: undefined, count: 0 })
  useEffect(() => {
    told.handler = onEvent
  })
  const { events, status, gap } = useJobView(jobId, told)
  return useMemo(() => ({ events: newest(events, limit), status, gap }), [events, gap, limit, status])
}

function newest(events: readonly JobEvent[], limit = Infinity): readonly JobEvent[] {
  if (limit >= events.length) return events
  return limit >= 1 ? events.slice(-limit) : [] // slice(-0) is everything
}

/** Follows a job and returns its state. */
export function useJobStatus(jobId: string | undefined): JobStatus {
  const { last, status } = useJobView(jobId)
  return useMemo(() => ({
    state: last?.status,
    snapshot: last?.snapshot ?? null,
    emittedAt: last?.emittedAt,
    sequence: last?.sequence,
    status,
  }), [last, status])
}
