import type { ManagerOptions, SocketOptions } from 'socket.io-client'
import { backoff } from './backoff.js'
import type { ErrorCode } from './contract.js'
import type { OpenTelemetry } from './opentelemetry.js'

/** Why a token is requested: absent for the first one, otherwise what happened to the last one. */
export interface AuthContext {
  code?: Extract<ErrorCode, `TOKEN_${string}`>
}

/**
 * A token, or a function that fetches one. The function is called for every connection, and
 * when the server reports that the token expires. The signal is aborted when the token is not
 * needed any more or does not arrive within `connectTimeoutMs`: pass it to `fetch`.
 */
export type Auth = string | ((context: AuthContext, signal: AbortSignal) => string | undefined | Promise<string | undefined>)

/** A fault that the client has handled by itself. */
export type Diagnostic =
  | { code: 'unsupported-version'; jobId: string; version: number; sequence?: number | undefined }
  | { code: 'handler-threw'; jobId?: string; error: unknown }
  /** A token could not be fetched, or the server refused a new one; the client tries again. */
  | { code: 'auth-failed'; error: unknown }
  | { code: 'fallback'; jobId: string; transport: 'sse' | 'rest' }
  /** An event that cannot be read was left out; the events after it follow. */
  | { code: 'unreadable-event'; jobId: string; name: string; position?: string | undefined; error: unknown }
  /** MongoDB does not answer the gateway, so that polled pages may lack events. */
  | { code: 'incomplete'; jobId: string }

export interface FallbackOptions {
  /** How long a socket may be away before events are fetched in another way, in milliseconds. Default 3000. */
  afterMs?: number
  /** How many jobs are followed by event streams, of which browsers allow six to a host; the other jobs are polled. Default 3; 0: none. */
  maxStreams?: number
  /** Pause between polls, in milliseconds, varied by a fifth. Default 3000. */
  pollMs?: number
  /** How long a job is polled, after a stream that did not come through, before one is tried again, in milliseconds: the first time, doubled each time up to 15 times that. Default 60000. */
  streamPauseMs?: number
  /** The longest pause between attempts at a socket while events are fetched in another way, in milliseconds. Default 300000. */
  maxSocketPauseMs?: number
}

export interface RealtimeOptions {
  /**
   * The address of the gateway: its origin and, behind a proxy, the path under which the proxy
   * serves it, such as `https://example.org/rt`. The paths of sockets, event streams and
   * pages are all below it. Default: the origin of the page.
   */
  url?: string | undefined
  /** Path of the socket below `url`. Default `/ws`. */
  path?: string
  /** The token, or a function that fetches one; needed if the gateway requires tokens. */
  auth?: Auth | undefined
  /** Transports of the socket. Default `['websocket']`: polling needs sticky sessions when there are several gateways. */
  transports?: ('websocket' | 'polling')[]
  /**
   * Kinds of the gateway's catalogue file, by their socket events, where those are
   * named otherwise than the contract's: `novel.chapter-note` or
   * `novel.chapter-note-event` for `chapter-note`.
   */
  kinds?: Record<string, string>
  /** How events are fetched while sockets are blocked; `false`: they are not fetched. */
  fallback?: FallbackOptions | false
  /** Pauses before another attempt, in milliseconds: the first, doubled each time up to the last, and spread. Default 500 and 5000. */
  reconnect?: { minMs?: number; maxMs?: number }
  /** How long one attempt to connect, and the beginning of an answer over HTTP, may take, each with its token, in milliseconds. Default 8000. */
  connectTimeoutMs?: number
  /** How long no connection or request may succeed before the state is `offline`, in milliseconds. Default 10000. */
  offlineAfterMs?: number
  /** The interval of pings to the server, in milliseconds; must be below its `SOCKET_IDLE_TIMEOUT_MS`. Default 60000; 0: no pings. */
  keepAliveMs?: number
  /** How long the socket stays after the last subscription, in milliseconds. Default 5000. */
  lingerMs?: number
  /**
   * The package `@opentelemetry/api` of an application with OpenTelemetry. The client then asks
   * the gateway for the trace context of each event, and runs the handlers of an event that has
   * one within a span. Pages of events, and so polling, have no trace contexts.
   */
  opentelemetry?: OpenTelemetry | undefined
  /** Further options of socket.io-client, such as `extraHeaders` in a test. */
  socketOptions?: Partial<ManagerOptions & SocketOptions>
  /** Called for each fault that the client has handled by itself. Default: a handler that threw is logged to the console, and other faults are ignored. */
  onDiagnostic?: (diagnostic: Diagnostic) => void
}

/** Options with their defaults. */
export interface Settings {
  /** The address of the gateway, without a slash at its end; empty for the page's own origin. */
  readonly base: string
  /** Origin of `base`; empty for the page's own. */
  readonly origin: string
  /** Path of the socket, from the root of the origin. */
  readonly path: string
  readonly auth: Auth | undefined
  readonly transports: ('websocket' | 'polling')[]
  readonly kinds: Record<string, string>
  readonly fallback: Required<FallbackOptions> | undefined
  /** The pause before attempt n, counted from 0, in milliseconds, with another bound than the usual one where it is given. */
  readonly backoff: (n: number, maxMs?: number) => number
  readonly connectTimeoutMs: number
  readonly offlineAfterMs: number
  readonly keepAliveMs: number
  readonly lingerMs: number
  readonly opentelemetry: OpenTelemetry | undefined
  readonly socketOptions: Partial<ManagerOptions & SocketOptions>
  readonly diagnose: (diagnostic: Diagnostic) => void
}

/** Fills in the defaults, which are only defined here. */
export function complete(options: RealtimeOptions): Settings {
  const { fallback = {}, reconnect } = options
  const base = (options.url ?? '').replace(/[?#].*/, '').replace(/\/+$/, '').replace(/^ws(?=s?:)/, 'http')
  const origin = /^(\w+:)?\/\/[^/]+/.exec(base)?.[0] ?? ''
  return {
    base,
    origin,
    path: base.slice(origin.length) + (options.path ?? '/ws'),
    auth: options.auth,
    transports: options.transports ?? ['websocket'],
    kinds: options.kinds ?? {},
    fallback: fallback ? { afterMs: 3000, maxStreams: 3, pollMs: 3000, streamPauseMs: 60_000, maxSocketPauseMs: 300_000, ...fallback } : undefined,
    backoff: (n, maxMs = reconnect?.maxMs ?? 5000) => backoff(n, reconnect?.minMs ?? 500, maxMs),
    connectTimeoutMs: options.connectTimeoutMs ?? 8000,
    offlineAfterMs: options.offlineAfterMs ?? 10_000,
    keepAliveMs: options.keepAliveMs ?? 60_000,
    lingerMs: options.lingerMs ?? 5000,
    opentelemetry: options.opentelemetry,
    socketOptions: options.socketOptions ?? {},
    diagnose: options.onDiagnostic ?? ((diagnostic) => {
      if (diagnostic.code === 'handler-threw') console.error(diagnostic.error)
    }),
  }
}
