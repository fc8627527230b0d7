import type { Gap, Reason, Status } from '@letswriteabook/realtime-client'

/** How important a message is to the reader. */
export type Tone = 'info' | 'good' | 'warning' | 'problem'

/** The page's message for a code, without the code itself, and with what the reader can do. */
export interface Wording {
  tone: Tone
  title: string
  text: string
}

type Code = Reason['code']

const busy = (title: string, text: string): Wording => ({ tone: 'warning', title, text })
const signIn = (title: string): Wording => ({ tone: 'problem', title, text: 'Sign in again to continue.' })
const ours: Wording = { tone: 'problem', title: 'Something is wrong on this page', text: 'The page sent a request that the service does not accept. Reload the page, and report the problem if that does not help.' }

/** The words for each code in docs/errors.md that a page can meet, and for those of the client itself. */
export const wordings: Record<Code, Wording> = {
  MAX_CONNECTIONS_EXCEEDED: busy('Live updates are busy', 'The service has no room for more readers. The page tries again by itself.'),
  ORIGIN_CONNECTIONS_EXCEEDED: busy('Live updates are busy', 'This site has reached its limit of connections. The page tries again by itself.'),
  ADDRESS_CONNECTIONS_EXCEEDED: busy('Too many windows are connected', 'Close other windows of this page on your network. The page tries again by itself.'),
  SUBJECT_CONNECTIONS_EXCEEDED: busy('You are connected too often', 'Close this page in other windows or on other devices. The page tries again by itself.'),
  CONNECTION_RATE_EXCEEDED: busy('Many people are coming back at once', 'You are in the queue, and no event is lost.'),
  MAX_REQUESTS_EXCEEDED: busy('History is busy', 'Many pages are being read at once. The page tries again by itself.'),
  CLIENT_REQUESTS_EXCEEDED: busy('Too many pages are open', 'Close other windows of this page. The page tries again by itself.'),
  REQUEST_RATE_EXCEEDED: busy('Too many requests', 'The page tries again by itself.'),
  ORIGIN_NOT_ALLOWED: { tone: 'problem', title: 'This address may not show live updates', text: 'The service does not allow the address of this page. Open the page from its usual address.' },
  TOKEN_REQUIRED: signIn('You are not signed in'),
  TOKEN_INVALID: signIn('Your sign-in is not valid'),
  TOKEN_EXPIRED: signIn('You have been signed out'),
  TOKEN_EXPIRING: { tone: 'info', title: 'Your sign-in is being renewed', text: 'There is nothing for you to do.' },
  AUTH_FAILED: signIn('Your sign-in could not be checked'),
  JOB_FORBIDDEN: { tone: 'problem', title: 'This job is not yours to see', text: 'Ask its owner to share it with you.' },
  SCOPE_REQUIRED: { tone: 'problem', title: 'You may not do that', text: 'You may follow jobs, but not publish events.' },
  SUBSCRIPTION_LIMIT_REACHED: busy('You follow as many jobs as fit', 'Stop following another one to see this one live.'),
  SUBSCRIPTION_RATE_EXCEEDED: busy('That was a bit fast', 'You have opened many jobs in a short time. This one follows by itself.'),
  MESSAGE_RATE_EXCEEDED: busy('That was a bit fast', 'Wait a moment before you try again.'),
  MESSAGE_TOO_LARGE: ours,
  IDLE_TIMEOUT: { tone: 'info', title: 'Live updates are paused', text: 'The page was not used for a while. Updates continue when you return.' },
  JOB_ID_REQUIRED: { tone: 'problem', title: 'A job needs a name', text: 'Enter the id of a job to follow it.' },
  JOB_ID_INVALID: { tone: 'problem', title: 'There is no such job', text: 'An id has at most 256 characters, and no control characters. Check what you entered.' },
  SINCE_INVALID: ours,
  UNKNOWN_EVENT: { tone: 'problem', title: 'This page asked for something unknown', text: 'The page may be older than the service. Reload the page.' },
  INTERNAL: { tone: 'problem', title: 'The service has a problem', text: 'You did nothing wrong. The page tries again by itself.' },
  BROWSER_OFFLINE: { tone: 'warning', title: 'You are offline', text: 'The events that you see stay here. The page adds the missing ones when you are online again.' },
  CHECKING: { tone: 'info', title: 'The connection is being checked', text: 'What you see may be out of date for a few seconds.' },
  CONNECT_FAILED: { tone: 'warning', title: 'The service cannot be reached', text: 'What you see may be out of date.' },
  CONNECT_TIMEOUT: { tone: 'warning', title: 'The service does not answer', text: 'What you see may be out of date.' },
  DISCONNECTED: { tone: 'warning', title: 'The connection was lost', text: 'The page fetches the events that you missed as soon as the connection works again.' },
}

/** The words for a reason. A code that this page does not have gets those of `INTERNAL`. */
export function wordingOf(reason: Reason): Wording {
  const known = (wordings as Partial<Record<string, Wording>>)[reason.code] ?? wordings.INTERNAL
  if (reason.code === 'SUBSCRIPTION_LIMIT_REACHED' && reason.limit !== undefined) {
    const jobs = reason.limit === 1 ? 'one job' : `${reason.limit} jobs`
    return { ...known, text: `${jobs.charAt(0).toUpperCase()}${jobs.slice(1)} can be followed in one window. ${known.text}` }
  }
  return known
}

/** The words for history that is gone. */
export function gapWording(reason: Gap['reason'], title: string): Wording {
  switch (reason) {
    case 'epoch-changed': return { tone: 'info', title: `“${title}” begins anew`, text: 'The service was restored from a backup. You see the events that it has.' }
    case 'erased': return { tone: 'info', title: `The history of “${title}” was erased`, text: 'You see what has happened since then.' }
    case 'retention': return busy(`Part of “${title}” is gone`, 'You were away for longer than its history is kept.')
  }
}

/** The word on the badge. */
export function badgeOf({ state, transport }: Status): string {
  switch (state) {
    case 'idle': return 'Paused'
    case 'connecting': return 'Connecting'
    case 'connected': return 'Connected'
    case 'catching-up': return 'Catching up'
    case 'live':
      if (transport === 'rest') return 'Every few seconds'
      return transport === 'sse' ? 'Live, by event stream' : 'Live'
    case 'reconnecting': return 'Reconnecting'
    case 'refused': return 'Waiting for a place'
    case 'offline': return 'Offline'
  }
}

/** The words for the time that is left until a time; empty when the time has passed. */
export function countdown(retryAt: number | undefined, now: number): string {
  if (retryAt === undefined || retryAt <= now) return ''
  const seconds = Math.ceil((retryAt - now) / 1000)
  return seconds < 90 ? `Next try in ${seconds} s` : `Next try in ${Math.round(seconds / 60)} min`
}
