/**
 * Jobs in the cache of @tanstack/react-query 5: fetched over HTTP, then kept up to
 * date by a subscription, so that nothing is stale while it is live.
 */
export { useJobEventsQuery, useJobStatusQuery } from './hooks.js'
export { jobKeys } from './keys.js'
export { laterStatus, mergeEvents } from './merge.js'
export { followJob, jobEventsQuery, jobStatusQuery } from './queries.js'
