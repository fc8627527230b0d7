'use client'

import { useJobStatus, useRealtimeStatus } from '@letswriteabook/realtime-client/react'
import { useJobEventsQuery } from '@letswriteabook/realtime-client/react-query'

/** Rendered on the server from what was prefetched, and live in the browser. */
export function History({ jobId }) {
  const { data } = useJobEventsQuery(jobId)
  useJobStatus(jobId)
  return <p id="history">{`${data?.length ?? 'no'} events, ${useRealtimeStatus().state}`}</p>
}
