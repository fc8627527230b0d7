import type { Redis } from 'ioredis'
import type { Envelope } from './envelope.js'
import type { RejectedError } from './errors.js'
import type { Receipt } from './receipt.js'

/** The role of a connection: it publishes events, or receives receipts. */
export type Role = 'publish' | 'receipts'

/** Publishing over HTTP, while Redis is away or no receipt arrives. */
export interface HttpOptions {
  /** Base address of a gateway, or of the balancer in front of several, such as `http://localhost:3001`. */
  url: string
  /** Bearer token: INTERNAL_TOKEN, or a token with the scope `publish`. Without a token, the gateway must be a developer's gateway on this machine. */
  token?: string
  /** How long Redis may be away, or no receipt may arrive, before events are sent over HTTP. Default 5000. */
  afterMs?: number
  /** How often an event is published in Redis without a receipt before this event is sent over HTTP. Default 5. */
  afterAttempts?: number
  /** How long a request may take. Default 15000, which is more than the 10 s that a gateway waits for its log. */
  timeoutMs?: number
}

/** The options of a publisher. Only `redis` is required. */
export interface PublisherOptions {
  /**
   * An ioredis client, or a function that creates one, called once for each role. The
   * publisher does not use a given client itself: it calls `duplicate` twice, with
   * settings of its own. Clients of the function should have
   * `enableOfflineQueue: false` and `maxRetriesPerRequest: 0`, so that no command is
   * sent late. The publisher closes both connections.
   */
  redis: Redis | ((role: Role) => Redis)
  /** Publishes over HTTP while Redis is away. Default: the publisher waits for Redis. */
  http?: HttpOptions
  /** The most events that may wait for their receipts. Default 10000. */
  maxEvents?: number
  /** The most bytes of these events, as JSON. Default 67108864 (64 MiB). */
  maxBytes?: number
  /** Events in flight at once, at most one of each job. Default 256. */
  maxInFlight?: number
  /** The gateway's MAX_EVENT_BYTES: a larger event is refused here. Default 1000000. */
  maxEventBytes?: number
  /** Kinds that the gateway's CATALOGUE_FILE adds. Default none. */
  kinds?: readonly string[]
  /**
   * A folder for the journal, which only this publisher uses. The events of the
   * outbox then survive a crash of the worker, and the next publisher with
   * the same folder sends them. Default: the outbox is only in memory.
   */
  dir?: string
  /** Whether the journal is synced to disk for each event, so that it also survives a power loss. Default false. */
  fsync?: boolean
  /**
   * The gateways' RECEIPT_SECRET: a receipt without its digest is ignored, so that
   * other programs that may publish in Redis cannot end the repetition of an event. Default
   * '': every receipt is accepted.
   */
  receiptSecret?: string
  /** How long a receipt may take before its event is repeated. Default 1000. */
  receiptTimeoutMs?: number
  /** The pause before the first repetition, in addition to `receiptTimeoutMs`; it doubles, and varies by a quarter. Default 100. */
  backoffMinMs?: number
  /** The largest pause. Default 5000. */
  backoffMaxMs?: number
  /** How long Redis may take to answer before its connection is replaced. Default 3000. */
  redisTimeoutMs?: number
  /** The interval of pings to Redis on the subscription. Default 2000. */
  pingMs?: number
  /**
   * How long an event is repeated before it is rejected as `unconfirmed`, counted
   * from its first turn. Default 0: until the publisher is closed.
   * Without `http` an event that the gateway refuses may get no answer,
   * and then delays the later events of its job.
   */
  giveUpAfterMs?: number

  /** The log has an event. Called before the promise of `publish` resolves, also for events from the journal. */
  onReceipt?: (receipt: Receipt) => void
  /** An event was refused or given up, and has left the outbox. */
  onRejected?: (envelope: Envelope, error: RejectedError) => void
  /** The outbox refused an event because it is full; called once until there is room again. */
  onFull?: (load: { events: number; bytes: number }) => void
  /** Redis, the gateway or the journal has a fault; the publisher continues. The same fault is reported at most every ten seconds. */
  onError?: (error: Error) => void
}

/** {@link HttpOptions} with their defaults. */
export type HttpSettings = Required<Omit<HttpOptions, 'token'>> & { token: string | undefined }

/** {@link PublisherOptions} with their defaults, except the functions and the connection. */
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
  // A JavaScript caller can pass anything, and the journal is opened before `redis` is used.
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
