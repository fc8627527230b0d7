import type { ErrorCode } from './contract.js'
import type { ErrorPayload } from './generated.js'

/**
 * The state of a client, or of one of its subscriptions:
 *
 * - `idle`: no job is followed; or the server has closed an unused connection, and the client reconnects when the page is visible again;
 * - `connecting`, `connected`: the client makes its first connection; it is connected, and no subscription has been granted yet;
 * - `catching-up`, `live`: history arrives; every past event has arrived, and new events arrive as they happen;
 * - `reconnecting`: the connection is lost and the client retries, or it has not answered for half a second after the page woke up;
 * - `refused`: the server refuses the client, or this job, for the given `reason`;
 * - `offline`: no connection or request has succeeded for longer than `offlineAfterMs`, or the browser reports that it has no network. The client keeps retrying.
 */
export type State = 'idle' | 'connecting' | 'connected' | 'catching-up' | 'live' | 'reconnecting' | 'refused' | 'offline'

/** The transport of events. `sse` and `rest` are the fallbacks while sockets are blocked. */
export type Transport = 'websocket' | 'polling' | 'sse' | 'rest'

/** Codes of this package, in addition to those of the service. */
export type LocalCode = 'AUTH_FAILED' | 'BROWSER_OFFLINE' | 'CHECKING' | 'CONNECT_FAILED' | 'CONNECT_TIMEOUT' | 'DISCONNECTED'

/** The reason of a status. */
export interface Reason {
  code: ErrorCode | LocalCode
  /** For people and logs. The text of a code of the service is fixed; show your own by code. */
  message: string
  /** The time until the client retries, in milliseconds from when the status was reported: the server's advice, if there is one. Absent: the client does not retry by itself. */
  retryAfterMs?: number | undefined
  /** The same as a time, in milliseconds since 1970, for a countdown. */
  retryAt?: number | undefined
  /** The bound that was reached, and how much of it is in use. */
  limit?: number | undefined
  current?: number | undefined
}

/** A value that is replaced, never changed: compare by identity. */
export interface Status {
  readonly state: State
  readonly transport?: Transport | undefined
  readonly reason?: Reason | undefined
}

/** The reason while the browser has no network. */
export const noNetwork: Reason = { code: 'BROWSER_OFFLINE', message: 'The browser has no network.' }

/** The page was hidden or asleep, and it is not known yet whether the connection still works. */
export const checking: Reason = { code: 'CHECKING', message: 'The connection is being checked.' }

/** The reason of a status for a refusal or a local fault; the client retries after `delay` milliseconds, or not by itself. */
export function reasonOf({ code, message, limit, current }: Omit<Reason, 'retryAt'> | ErrorPayload, delay?: number): Reason {
  return { code, message, limit, current, retryAfterMs: delay, retryAt: delay === undefined ? delay : Date.now() + delay }
}

/** Whether events arrive. */
export function isLive(status: Status): boolean {
  return status.state === 'live'
}

/** Returns `before` if it is equal to `after`, so that a new object always means a change. */
export function settle(before: Status, after: Status): Status {
  const same = before.state === after.state && before.transport === after.transport && before.reason === after.reason
  return same ? before : after
}
