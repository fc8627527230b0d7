import { useRealtimeStatus } from '@letswriteabook/realtime-client/react'
import { useEffect, useRef } from 'react'
import { useDesk } from './desk.js'
import { isCarried } from './feed.js'
import { badgeOf, wordingOf, wordings } from './wording.js'

/** How long a break lasts before the page reports it, in milliseconds: most breaks are shorter. */
const graceMs = 1000

/** The badge with the state of the connection. */
export function ConnectionBadge() {
  const status = useRealtimeStatus()
  return (
    <p className="badge" role="status" aria-label="Connection" data-state={status.state}>
      <span className="dot" aria-hidden="true" />
      {badgeOf(status)}
    </p>
  )
}

/** Reports, by toasts, what is wrong with the connection, when the client retries, and when the connection works again. It renders nothing itself. */
export function ConnectionToasts() {
  const desk = useDesk()
  const { client, toasts } = desk
  const status = useRealtimeStatus()
  const complained = useRef(false)
  /** Whether the reader has dismissed the message, which then stays hidden until the connection works again. */
  const silenced = useRef(false)
  const brokenAt = useRef<number>(undefined)

  useEffect(() => {
    const { state, reason } = status
    if (isCarried(status)) {
      brokenAt.current = undefined
      silenced.current = false
      if (state !== 'live' || !complained.current) return
      complained.current = false
      const missed = desk.takeMissed()
      toasts.show({
        key: 'connection', tone: 'good', title: 'You are connected again',
        text: missed === 0 ? 'You have missed nothing.' : missed === 1 ? 'The one event that you missed is here.' : `The ${missed} events that you missed are here.`,
      })
      return
    }
    if (!reason || state === 'connected' || state === 'idle' || silenced.current) return
    // The reason changes with each attempt, but the delay is measured from the break.
    brokenAt.current ??= Date.now()
    const grace = complained.current || state === 'refused' ? 0 : Math.max(0, brokenAt.current + graceMs - Date.now())
    const timer = setTimeout(() => {
      complained.current = true
      toasts.show({
        key: 'connection', ...(state === 'offline' && !navigator.onLine ? wordings.BROWSER_OFFLINE : wordingOf(reason)),
        ...(reason.retryAt !== undefined && { retryAt: reason.retryAt }),
        action: { label: 'Try now', run: () => client.retry() },
        onDismiss: () => {
          silenced.current = true
        },
      })
    }, grace)
    return () => clearTimeout(timer)
  }, [client, desk, status, toasts])
  return null
}
