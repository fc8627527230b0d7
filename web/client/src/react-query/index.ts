/**
 * Jobs in the cache of @tanstack/react-query 5: fetched over HTTP, then kept up to
 * date by a subscription, so that nothing is stale while it is live.
 *
 * Only the hooks are code for the browser; they are a file of their own in the
 * package, so that a server component can use the rest.
 */
export { useJobEventsQuery, useJobStatusQuery } from './hooks.js'
export { jobKeys } from './keys.js'
export { laterStatus, mergeEvents } from './merge.js'
export { followJob, jobEventsQuery, jobStatusQuery } from './queries.js'
