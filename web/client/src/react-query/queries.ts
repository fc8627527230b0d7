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

/** What is known of a client's jobs, for as long as the client lives: at most one entry a job. */
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

/** What is live is not stale: it is refetched only when its subscription is not, reports a gap, or the page lacked events. */
const staleTime = (client: Realtime, jobId: string) => () => {
  const { followers, incomplete } = knownOf(client)
  const live = [...(followers.get(jobId) ?? [])].some((follower) => follower.live)
  return live && !incomplete.has(jobId) ? Infinity : 0
}

/** Fetches a page. Undefined when it is of another log than the one that is followed, which will say so by itself. */
async function fetchPage(client: Realtime, jobId: string, signal: AbortSignal): Promise<Page | undefined> {
  const page = await client.page(jobId, { signal })
  const { followers, incomplete } = knownOf(client)
  if (page.incomplete) incomplete.add(jobId)
  else incomplete.delete(jobId)
  const another = [...(followers.get(jobId) ?? [])].some(({ epoch }) => epoch !== undefined && page.epoch !== undefined && epoch !== page.epoch)
  return another ? undefined : page
}

/** The query of a job's newest events, oldest first. What came live meanwhile stays. */
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
 * Follows a job and writes what comes into the query client, until the function
 * that is returned is called. It goes on after the newest event that is in the
 * cache, where its epoch is known. A gap makes the job's queries be fetched again;
 * after a change of epoch what they had is dropped first.
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
