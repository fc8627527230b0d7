import { type QueryClient, queryOptions } from '@tanstack/react-query'
import type { Realtime } from '../client.js'
import type { JobEvent, JobStatusEvent } from '../contract.js'
import { formatPosition, parsePosition } from '../position.js'
import type { Page } from '../rest.js'
import { isLive } from '../status.js'
import { jobKeys } from './keys.js'
import { type Cached, inEpoch, laterStatus, mergeEvents, mergePage } from './merge.js'

/** One that follows a job into a cache. */
interface Follower {
  live: boolean
  /** The epoch of the log that its subscription is in, once that is known. */
  epoch: string | undefined
}

/** The state of a client's jobs, for as long as the client exists: at most one entry for each job. */
interface Known {
  followers: Map<string, Set<Follower>>
  /** The jobs whose last page lacked events for now. */
  incomplete: Set<string>
}

const clients = new WeakMap<Realtime, Known>()

function knownOf(client: Realtime): Known {
  let known = clients.get(client)
  if (!known) clients.set(client, (known = { followers: new Map(), incomplete: new Set() }))
  return known
}

/** A live job is not stale: it is refetched only if its subscription is not live or reports a gap, or if the page lacked events. */
const staleTime = (client: Realtime, jobId: string) => () => {
  const { followers, incomplete } = knownOf(client)
  const live = [...(followers.get(jobId) ?? [])].some((follower) => follower.live)
  return live && !incomplete.has(jobId) ? Infinity : 0
}

/** Fetches a page. Undefined if the page is of another log than the subscription, which then reports a gap. */
async function fetchPage(client: Realtime, jobId: string, signal: AbortSignal): Promise<Page | undefined> {
  const page = await client.page(jobId, { signal })
  const { followers, incomplete } = knownOf(client)
  if (page.incomplete) incomplete.add(jobId)
  else incomplete.delete(jobId)
  const another = [...(followers.get(jobId) ?? [])].some(({ epoch }) => epoch !== undefined && page.epoch !== undefined && epoch !== page.epoch)
  return another ? undefined : page
}

/** The query of a job's newest events, oldest first. Events that arrived live meanwhile stay. */
export function jobEventsQuery(client: Realtime, jobId: string) {
  return queryOptions({
    queryKey: jobKeys.events(jobId),
    staleTime: staleTime(client, jobId),
    queryFn: async ({ signal, client: queries }): Promise<readonly JobEvent[]> => {
      const page = await fetchPage(client, jobId, signal)
      const fetched = page?.events.reverse().map((event) => inEpoch(event, page.epoch)) ?? []
      return mergePage(queries.getQueryData<readonly Cached[]>(jobKeys.events(jobId)) ?? [], fetched)
    },
  })
}

/** The query of a job's last `job-status`; null when its newest events have none. */
export function jobStatusQuery(client: Realtime, jobId: string) {
  return queryOptions({
    queryKey: jobKeys.status(jobId),
    staleTime: staleTime(client, jobId),
    queryFn: async ({ signal, client: queries }): Promise<JobStatusEvent | null> => {
      const page = await fetchPage(client, jobId, signal)
      const fetched = page?.events.find((event): event is JobStatusEvent => event.kind === 'job-status')
      const before = queries.getQueryData<Cached<JobStatusEvent> | null>(jobKeys.status(jobId)) ?? null
      return fetched ? laterStatus(before, inEpoch(fetched, page?.epoch)) : before
    },
  })
}

/**
 * Follows a job and writes its events into the query client, until the returned function
 * is called. It continues after the newest event in the
 * cache, if the epoch of that event is known. After a gap the job's queries are fetched again;
 * after a change of epoch their data is dropped first.
 */
export function followJob(queries: QueryClient, client: Realtime, jobId: string): () => void {
  const cached = queries.getQueryData<readonly Cached[]>(jobKeys.events(jobId)) ?? []
  const newest = cached.findLast(({ sequence }) => sequence !== undefined)
  const follower: Follower = { live: false, epoch: undefined }
  const { followers } = knownOf(client)
  followers.set(jobId, (followers.get(jobId) ?? new Set()).add(follower))
  const { unsubscribe } = client.subscribeJob(jobId, {
    ...(newest?.epoch !== undefined && { since: formatPosition(newest) }),
    onStatus: (status) => {
      follower.live = isLive(status)
    },
    onEvent: (event, { position }) => {
      if (event.replay) return
      follower.epoch = (position === undefined ? undefined : parsePosition(position)?.epoch) ?? follower.epoch
      const told = inEpoch(event, follower.epoch)
      queries.setQueryData<readonly Cached[]>(jobKeys.events(jobId), (before = []) => mergeEvents(before, [told]))
      if (told.kind !== 'job-status') return
      queries.setQueryData<Cached<JobStatusEvent> | null>(jobKeys.status(jobId), (before) => laterStatus(before, told))
    },
    onGap: ({ reason }) => {
      if (reason === 'epoch-changed' || reason === 'erased') {
        queries.setQueryData(jobKeys.events(jobId), [])
        queries.setQueryData(jobKeys.status(jobId), null)
      }
      if (reason === 'epoch-changed') follower.epoch = undefined
      void queries.invalidateQueries({ queryKey: jobKeys.job(jobId) })
    },
  })
  return () => {
    const all = followers.get(jobId)
    all?.delete(follower)
    if (all?.size === 0) followers.delete(jobId)
    unsubscribe()
  }
}
