import { createRealtime } from '@letswriteabook/realtime-client'
import { jobEventsQuery } from '@letswriteabook/realtime-client/react-query'
import { dehydrate, HydrationBoundary, QueryClient } from '@tanstack/react-query'
import { History } from './history'

export const dynamic = 'force-dynamic'

/** A server component that prefetches a job's events. */
export default async function Page() {
  const queries = new QueryClient()
  await queries.prefetchQuery(jobEventsQuery(createRealtime({ url: process.env.GATEWAY }), 'job-1'))
  return <HydrationBoundary state={dehydrate(queries)}><History jobId="job-1" /></HydrationBoundary>
}
