import type { ErrorCode } from './contract.js'
import type { ErrorPayload } from './generated.js'

/**
 * How a client, or one of its subscriptions, stands:
 *
 * - `idle`: nothing is followed, or the server has ended a connection that nobody used, until the page is looked at again;
 * - `connecting`, `connected`: the first connection is made; it is there, and nothing has been granted yet;
 * - `catching-up`, `live`: history arrives; everything there is has arrived, and what follows is as it happens;
 * - `reconnecting`: the connection is lost and tried again, or has not answered for half a second after the page woke up;
 * - `refused`: the server does not take the client, or this job, for the `reason` given;
 * - `offline`: nothing gets through, for longer than `offlineAfterMs` or by the browser's word. It is tried on.
 */
export type State = 'idle' | 'connecting' | 'connected' | 'catching-up' | 'live' | 'reconnecting' | 'refused' | 'offline'

/** What events come through. `sse` and `rest` stand in where sockets are blocked. */
export type Transport = 'websocket' | 'polling' | 'sse' | 'rest'

/** Codes of this package, beside those of the service. */
export type LocalCode = 'AUTH_FAILED' | 'BROWSER_OFFLINE' | 'CHECKING' | 'CONNECT_FAILED' | 'CONNECT_TIMEOUT' | 'DISCONNECTED'

/** Why a status is what it is. */
export interface Reason {
  code: ErrorCode | LocalCode
  /** For people and logs. The text of a code of the service is fixed; show your own by code. */
  message: string
  /** In how many milliseconds, counted from when this was told, it is tried again: the server's advice where it gave one. Absent: not by itself. */
  retryAfterMs?: number | undefined
  /** The same as a time, in milliseconds since 1970, for a countdown. */
  retryAt?: number | undefined
  /** The bound that was met, and how much of it is in use. */
  limit?: number | undefined
  current?: number | undefined
}

/** A value that is replaced, never changed: compare by identity. */
export interface Status {
  readonly state: State
  readonly transport?: Transport | undefined
  readonly reason?: Reason | undefined
}

/** Whatever else is wrong. */
export const noNetwork: Reason = { code: 'BROWSER_OFFLINE', message: 'The browser has no network.' }

/** The page was away, and it is not known yet whether the connection still carries anything. */
export const checking: Reason = { code: 'CHECKING', message: 'The connection is being checked.' }

/** What a refusal, or a fault here, looks like in a status; tried again after `delay` milliseconds, or not by itself. */
export function reasonOf({ code, message, limit, current }: Omit<Reason, 'retryAt'> | ErrorPayload, delay?: number): Reason {
  return { code, message, limit, current, retryAfterMs: delay, retryAt: delay === undefined ? delay : Date.now() + delay }
}

/** Whether events arrive. */
export function isLive(status: Status): boolean {
  return status.state === 'live'
}

/** Returns `before` when it says the same as `after`, so that identity means a change. */
export function settle(before: Status, after: Status): Status {
  const same = before.state === after.state && before.transport === after.transport && before.reason === after.reason
  return same ? before : after
}
