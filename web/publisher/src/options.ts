import type { Redis } from 'ioredis'
import type { Envelope } from './envelope.js'
import type { RejectedError } from './errors.js'
import type { Receipt } from './receipt.js'

/** What a connection is for: it publishes events, or listens for receipts. */
export type Role = 'publish' | 'receipts'

/** Publishing over HTTP, where Redis stays away or stays silent. */
export interface HttpOptions {
  /** Base address of a gateway or of the balancer before several, such as `http://localhost:3001`. */
  url: string
  /** Bearer token: INTERNAL_TOKEN, or a token with the scope `publish`. None: the gateway has to be a developer's, on this machine. */
  token?: string
  /** How long Redis may be away, or no receipt come, before events go over HTTP. Default 5000. */
  afterMs?: number
  /** How often an event is published in Redis in vain before it goes over HTTP on its own account. Default 5. */
  afterAttempts?: number
  /** How long a request may take. Default 15000, which is more than the 10 s that a gateway waits for its log. */
  timeoutMs?: number
}

/** What a publisher is made of. Only `redis` is required. */
export interface PublisherOptions {
  /**
   * An ioredis client, of which two connections are made with `duplicate` and
   * settings of their own, and which is not used itself; or a function that makes
   * them, called once for each role. Those it makes should have
   * `enableOfflineQueue: false` and `maxRetriesPerRequest: 0`, so that nothing is
   * sent late. The publisher closes both.
   */
  redis: Redis | ((role: Role) => Redis)
  /** Publishes over HTTP where Redis stays away. Default: it waits for Redis. */
  http?: HttpOptions
  /** Events that may wait for their receipts. Default 10000. */
  maxEvents?: number
  /** Their bytes, as JSON. Default 67108864 (64 MiB). */
  maxBytes?: number
  /** Events under way at once, one a job. Default 256. */
  maxInFlight?: number
  /** The gateway's MAX_EVENT_BYTES: a larger event is refused here. Default 1000000. */
  maxEventBytes?: number
  /** Kinds that the gateway's CATALOGUE_FILE adds. Default none. */
  kinds?: readonly string[]
  /**
   * A folder for the journal, which this publisher has for itself: what is in the
   * outbox survives a crash of the worker, and is sent by the next publisher with
   * the same folder. Default: the outbox is in memory alone.
   */
  dir?: string
  /** Whether the journal is forced to disk for each event, to survive a power loss too. Default false. */
  fsync?: boolean
  /**
   * The gateways' RECEIPT_SECRET: a receipt without its digest is ignored, so that
   * nobody else who may publish in Redis can end the repeating of an event. Default
   * '': every receipt is taken.
   */
  receiptSecret?: string
  /** How long a receipt may take before its event is repeated. Default 1000. */
  receiptTimeoutMs?: number
  /** The pause before the first repetition, beside `receiptTimeoutMs`; it doubles, and varies by a quarter. Default 100. */
  backoffMinMs?: number
  /** Its largest value. Default 5000. */
  backoffMaxMs?: number
  /** How long Redis may take to answer before its connection is replaced. Default 3000. */
  redisTimeoutMs?: number
  /** The time between questions to Redis whether the subscription is alive. Default 2000. */
  pingMs?: number
  /**
   * How long an event is repeated before it is rejected as `unconfirmed`, counted
   * from when it was first its turn. Default 0: for as long as the publisher lives.
   * Without `http` an event that the gateway refuses is only ever met by silence,
   * and holds up its job.
   */
  giveUpAfterMs?: number

  /** The log has an event. Called before the promise of `publish` resolves, also for events from the journal. */
  onReceipt?: (receipt: Receipt) => void
  /** An event was refused or given up, and has left the outbox. */
  onRejected?: (envelope: Envelope, error: RejectedError) => void
  /** The outbox refused an event because it is full; called once until there is room again. */
  onFull?: (load: { events: number; bytes: number }) => void
  /** Redis, the gateway or the journal has a fault; the publisher goes on. The same fault is told every ten seconds at most. */
  onError?: (error: Error) => void
}

/** {@link HttpOptions} with their defaults. */
export type HttpSettings = Required<Omit<HttpOptions, 'token'>> & { token: string | undefined }

/** {@link PublisherOptions} with their defaults, but for the functions and the connection. */
export type Settings = Required<
  Omit<PublisherOptions, 'redis' | 'http' | 'dir' | 'onReceipt' | 'onRejected' | 'onFull' | 'onError'>
> & { http: HttpSettings | undefined; dir: string | undefined }

const defaults = {
  maxEvents: 10_000,
  maxBytes: 64 << 20,
  maxInFlight: 256,
  maxEventBytes: 1_000_000,
  kinds: [] as readonly string[],
  fsync: false,
  receiptSecret: '',
  receiptTimeoutMs: 1000,
  backoffMinMs: 100,
  backoffMaxMs: 5000,
  redisTimeoutMs: 3000,
  pingMs: 2000,
  giveUpAfterMs: 0,
}

/**
 * Fills in the defaults.
 *
 * @throws RangeError or TypeError names the option that is out of its range.
 */
export function settle(options: PublisherOptions): Settings {
  // From JavaScript it can be anything, and the journal is opened before it is used.
  if (typeof options.redis !== 'function' && typeof options.redis?.duplicate !== 'function') {
    throw new TypeError('redis must be an ioredis client or a function that makes one')
  }
  const settings: Settings = { ...defaults, http: undefined, dir: options.dir }
  for (const name of Object.keys(defaults) as (keyof typeof defaults)[]) {
    if (options[name] !== undefined) Object.assign(settings, { [name]: options[name] })
  }
  for (const name of Object.keys(defaults) as (keyof typeof defaults)[]) {
    if (typeof defaults[name] === 'number') check(name, settings[name], name === 'giveUpAfterMs' ? 0 : 1)
  }
  if (settings.maxBytes < settings.maxEventBytes) throw new RangeError('maxBytes must be at least maxEventBytes')
  if (settings.backoffMaxMs < settings.backoffMinMs) throw new RangeError('backoffMaxMs must be at least backoffMinMs')
  if (options.http) settings.http = settleHttp(options.http)
  return settings
}

function settleHttp(options: HttpOptions): HttpSettings {
  const url = new URL(options.url) // throws a TypeError
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new TypeError('http.url must begin with http:// or https://')
  const http = {
    url: options.url,
    token: options.token,
    afterMs: options.afterMs ?? 5000,
    afterAttempts: options.afterAttempts ?? 5,
    timeoutMs: options.timeoutMs ?? 15_000,
  }
  check('http.afterMs', http.afterMs, 0)
  check('http.afterAttempts', http.afterAttempts, 1)
  check('http.timeoutMs', http.timeoutMs, 1)
  return http
}

function check(name: string, value: unknown, least: number): void {
  if (!Number.isInteger(value) || (value as number) < least) {
    throw new RangeError(`${name} must be a whole number of at least ${least}, and is ${String(value)}`)
  }
}
