'use client'

import { type QueryClient, type UseQueryResult, useQuery, useQueryClient } from '@tanstack/react-query'
import { useEffect } from 'react'
import type { Realtime } from '../client.js'
import type { JobEvent, JobStatusEvent } from '../contract.js'
import { Leases } from '../react/lease.js'
import { useRealtime } from '../react/provider.js'
import { followJob, jobEventsQuery, jobStatusQuery } from './queries.js'

/** Who follows what into which cache: one subscription for all components. */
const following = new WeakMap<QueryClient, WeakMap<Realtime, Leases<() => void>>>()

function useFollowing(jobId: string): Realtime {
  const queries = useQueryClient()
  const client = useRealtime()
  useEffect(() => {
    let byClient = following.get(queries)
    if (!byClient) following.set(queries, (byClient = new WeakMap()))
    let leases = byClient.get(client)
    if (!leases) byClient.set(client, (leases = new Leases((end) => end())))
    return leases.use(jobId, () => followJob(queries, client, jobId)).release
  }, [client, jobId, queries])
  return client
}

/** A job's newest events, oldest first: fetched, then live. */
export function useJobEventsQuery(jobId: string): UseQueryResult<readonly JobEvent[]> {
  return useQuery(jobEventsQuery(useFollowing(jobId), jobId))
}

/** A job's last `job-status`: fetched, then live. */
export function useJobStatusQuery(jobId: string): UseQueryResult<JobStatusEvent | null> {
  return useQuery(jobStatusQuery(useFollowing(jobId), jobId))
}
