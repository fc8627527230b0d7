import { useCallback, useEffect, useMemo, useRef, useSyncExternalStore } from 'react'
import type { JobEvent, JobStatusEvent } from '../contract.js'
import type { Gap } from '../generated.js'
import type { Status } from '../status.js'
import { useRealtime } from './provider.js'
import { emptyView, type EventHandler, JobStore, type JobView, storesOf } from './store.js'

export interface JobEventsOptions {
  /** How many of the newest events to return. Default, and at most, 1000. */
  limit?: number
  /** Called once for each event, outside of rendering: for toasts. `replayed` tells history from what happens now. */
  onEvent?: EventHandler
}

export interface JobEvents {
  /** Oldest first. */
  events: readonly JobEvent[]
  /** How the subscription stands, with the reason. */
  status: Status
  /** What was last told to be gone for good, if anything. */
  gap: Gap | undefined
}

export interface JobStatus {
  /** The job's state; undefined until it is known. */
  state: JobStatusEvent['status'] | undefined
  snapshot: JobStatusEvent['snapshot']
  emittedAt: string | undefined
  sequence: number | undefined
  /** How the subscription stands, with the reason. */
  status: Status
}

/** The view of a job, shared by all components that follow it. Without a jobId nothing is followed. */
function useJobView(jobId: string | undefined, handler?: { current: EventHandler | undefined }): JobView {
  const client = useRealtime()
  const stores = storesOf(client)
  const subscribe = useCallback((changed: () => void) => {
    if (jobId === undefined) return () => {}
    const { value: store, release } = stores.use(jobId, () => new JobStore(client, jobId))
    const ends = [store.onChange(changed), store.onEvent((event, context) => handler?.current?.(event, context)), release]
    return () => ends.forEach((end) => end())
  }, [client, handler, jobId, stores])
  const view = () => (jobId === undefined ? undefined : stores.peek(jobId)?.view) ?? emptyView
  return useSyncExternalStore(subscribe, view, () => emptyView)
}

/** Follows a job and returns its events. */
export function useJobEvents(jobId: string | undefined, { limit, onEvent }: JobEventsOptions = {}): JobEvents {
  const handler = useRef(onEvent)
  useEffect(() => {
    handler.current = onEvent
  })
  const { events, status, gap } = useJobView(jobId, handler)
  return useMemo(() => ({ events: limit === undefined ? events : events.slice(-limit), status, gap }), [events, gap, limit, status])
}

/** Follows a job and returns the state it is in. */
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
