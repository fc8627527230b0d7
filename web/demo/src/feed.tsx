import { type Gap, parsePosition, type Realtime, type Status } from '@letswriteabook/realtime-client'
import { jobKeys } from '@letswriteabook/realtime-client/react-query'
import { skipToken, useQuery } from '@tanstack/react-query'
import { useCallback, useEffect } from 'react'
import { useDesk, useView } from './desk.js'
import { type Timeline, watchedEvents } from './timeline.js'
import { gapWording, wordingOf } from './wording.js'

/** How often a job is polled over HTTP while it is not live. */
const pollMs = 4000
/** How long an answer may take before the request counts as failed. */
const answerMs = 5000
/** The most events of a page of the service. */
const pageEvents = 1000

/** The key of the fetch that keeps a timeline up to date. */
const newerKey = (jobId: string) => [...jobKeys.job(jobId), 'newer'] as const

/** Whether the job's events arrive live. */
export function isCarried({ state }: Status): boolean {
  return state === 'live' || state === 'catching-up'
}

/**
 * Fetches the events that are newer than the timeline, or the newest page if it is empty, and
 * returns their number. It calls onGap for events that no longer exist. If
 * events are only missing temporarily, it fails, so that the fetch is repeated.
 */
async function fetchNewer(client: Realtime, timeline: Timeline, jobId: string, signal: AbortSignal, onGap: (gap: Gap) => void): Promise<number> {
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(answerMs)])
  for (let fetched = 0; ;) {
    const since = timeline.position
    const query = since === undefined ? { limit: watchedEvents } : { since, limit: pageEvents }
    const { events, epoch, gap, incomplete } = await client.page(jobId, { ...query, signal: bounded })
    if (incomplete && since !== undefined) throw new Error('the page lacks events for now')
    if (since === undefined) events.reverse()
    if (gap) onGap(gap)
    timeline.within(epoch)
    for (const event of events) timeline.add(event)
    fetched += events.length
    const whole = events.length < query.limit
    if (since !== undefined && !whole) continue
    timeline.answered(since === undefined && whole)
    return fetched
  }
}

/** Whether the last fetch of a job failed. */
export function useFetchFailed(jobId: string): boolean {
  return useQuery({ queryKey: newerKey(jobId), queryFn: skipToken }).isError
}

/**
 * Keeps the timeline of one job up to date, and renders nothing. It fetches the
 * existing events over HTTP, then receives later ones live, and polls over HTTP
 * while the job cannot be live.
 */
export function Feed({ jobId, title }: { jobId: string; title: string }) {
  const desk = useDesk()
  const { client, toasts } = desk
  const timeline = desk.timeline(jobId)
  const { status } = useView(jobId)
  const carried = isCarried(status)
  const hopeless = status.reason?.code === 'JOB_ID_INVALID' || status.reason?.code === 'JOB_FORBIDDEN'
  const onGap = useCallback(({ reason }: Gap) => {
    if (reason !== 'retention') timeline.clear() // the events that were shown are no longer valid
    toasts.show({ key: `gap ${jobId}`, ...gapWording(reason, title) })
  }, [jobId, timeline, title, toasts])
  const { isFetched } = useQuery({
    queryKey: newerKey(jobId),
    queryFn: ({ signal }) => fetchNewer(client, timeline, jobId, signal, onGap),
    enabled: !carried && !hopeless,
    refetchInterval: carried || hopeless ? false : pollMs,
  })

  useEffect(() => {
    if (!isFetched) return
    let away = false
    let missed = 0
    let after: number | undefined
    const subscription = client.subscribeJob(jobId, {
      since: timeline.position,
      onEvent: (event, { replayed, position }) => {
        timeline.within(position && parsePosition(position)?.epoch)
        if (away && replayed && event.sequence !== undefined && event.sequence > (timeline.newest ?? 0) && missed++ === 0) after = timeline.newest
        timeline.add(event)
      },
      onStatus: (status) => {
        if (!isCarried(status) && isCarried(timeline.view().status)) {
          away = true
          missed = 0
        }
        timeline.setStatus(status)
      },
      onCaughtUp: () => {
        timeline.answered()
        if (!away) return
        away = false
        timeline.breakHere(missed, after)
        desk.caughtUp(missed)
      },
      onGap,
      onError: (error) => {
        const wording = wordingOf(error)
        toasts.show({ key: `job ${jobId}`, ...wording, title: `“${title}”: ${wording.title.charAt(0).toLowerCase()}${wording.title.slice(1)}` })
      },
    })
    timeline.setStatus(subscription.status)
    return () => {
      subscription.unsubscribe()
      toasts.dismiss(`job ${jobId}`)
    }
  }, [client, desk, isFetched, jobId, onGap, timeline, title, toasts])
  return null
}
