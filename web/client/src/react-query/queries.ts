import { type QueryClient, queryOptions } from '@tanstack/react-query'
import type { Realtime } from '../client.js'
import type { JobEvent, JobStatusEvent } from '../contract.js'
import { isLive } from '../status.js'
import { jobKeys } from './keys.js'
import { laterStatus, mergeEvents } from './merge.js'

/** The jobs that are live, by who follows them. */
const live = new WeakMap<Realtime, Set<string>>()

/** What is live is not stale: it is refetched only when its subscription is not, or reports a gap. */
const staleTime = (client: Realtime, jobId: string) => () => (live.get(client)?.has(jobId) ? Infinity : 0)

/** The query of a job's newest events, oldest first. What came live meanwhile stays. */
export function jobEventsQuery(client: Realtime, jobId: string) {
  return queryOptions({
    queryKey: jobKeys.events(jobId),
    staleTime: staleTime(client, jobId),
    queryFn: async ({ signal, client: queries }): Promise<readonly JobEvent[]> => {
      const items = await client.events(jobId, { signal })
      return mergeEvents(queries.getQueryData<readonly JobEvent[]>(jobKeys.events(jobId)) ?? [], items.reverse())
    },
  })
}

/** The query of a job's last `job-status`; null when its newest events have none. */
export function jobStatusQuery(client: Realtime, jobId: string) {
  return queryOptions({
    queryKey: jobKeys.status(jobId),
    staleTime: staleTime(client, jobId),
    queryFn: async ({ signal, client: queries }): Promise<JobStatusEvent | null> => {
      const items = await client.events(jobId, { signal })
      const fetched = items.find((event): event is JobStatusEvent => event.kind === 'job-status')
      const before = queries.getQueryData<JobStatusEvent | null>(jobKeys.status(jobId)) ?? null
      return fetched ? laterStatus(before, fetched) : before
    },
  })
}

/**
 * Follows a job and writes what comes into the query client, until the function
 * that is returned is called. It goes on after the newest event that is in the
 * cache. A gap makes the job's queries be fetched again; after a change of epoch
 * what they had is dropped first.
 */
export function followJob(queries: QueryClient, client: Realtime, jobId: string): () => void {
  const cached = queries.getQueryData<readonly JobEvent[]>(jobKeys.events(jobId)) ?? []
  const since = cached.findLast(({ sequence }) => sequence !== undefined)?.sequence
  const jobs = live.get(client) ?? new Set()
  live.set(client, jobs)
  const { unsubscribe } = client.subscribeJob(jobId, {
    ...(since !== undefined && { since }),
    onStatus: (status) => (isLive(status) ? jobs.add(jobId) : jobs.delete(jobId)),
    onEvent: (event) => {
      if (event.replay) return
      queries.setQueryData<readonly JobEvent[]>(jobKeys.events(jobId), (before = []) => mergeEvents(before, [event]))
      if (event.kind !== 'job-status') return
      queries.setQueryData<JobStatusEvent | null>(jobKeys.status(jobId), (before) => laterStatus(before, event))
    },
    onGap: ({ reason }) => {
      if (reason === 'epoch-changed' || reason === 'erased') {
        queries.setQueryData(jobKeys.events(jobId), [])
        queries.setQueryData(jobKeys.status(jobId), null)
      }
      void queries.invalidateQueries({ queryKey: jobKeys.job(jobId) })
    },
  })
  return () => {
    jobs.delete(jobId)
    unsubscribe()
  }
}
