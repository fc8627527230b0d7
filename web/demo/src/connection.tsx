import { useRealtimeStatus } from '@letswriteabook/realtime-client/react'
import { useEffect, useRef } from 'react'
import { useDesk } from './desk.js'
import { isCarried } from './feed.js'
import { badgeOf, wordingOf, wordings } from './wording.js'

/** How long a break may last before it is worth a word, in milliseconds: most are over before anybody notices. */
const graceMs = 1000

/** How the connection stands, in a word. */
export function ConnectionBadge() {
  const status = useRealtimeStatus()
  return (
    <p className="badge" role="status" aria-label="Connection" data-state={status.state}>
      <span className="dot" aria-hidden="true" />
      {badgeOf(status)}
    </p>
  )
}

/** Says what is amiss with the connection and when it is tried again, and when it is well again. It shows nothing itself. */
export function ConnectionToasts() {
  const desk = useDesk()
  const { client, toasts } = desk
  const status = useRealtimeStatus()
  const complained = useRef(false)
  /** The reader has put the message away: it stays away until the connection is back. */
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
    // The reason changes while it is tried: the grace is that of the break.
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
