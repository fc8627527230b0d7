import type { Redis } from 'ioredis'
import { backoff } from './backoff.js'
import { eventsChannel, receiptsChannel } from './envelope.js'
import type { PublisherOptions, Role, Settings } from './options.js'
import { parseReceipt, type Receipt, type Refusal } from './receipt.js'

/** The callbacks of a {@link RedisLink}. */
export interface RedisEvents {
  receipt(message: Receipt | Refusal): void
  /** Receipts are received from now on; earlier ones may have been missed. */
  up(): void
  error(error: Error): void
}

/**
 * Two connections to Redis: one publishes, and one receives receipts. Each is
 * replaced when it does not answer in time, because a half-dead connection
 * accepts everything and delivers nothing.
 */
export class RedisLink {
  readonly #settings: Settings
  readonly #events: RedisEvents
  readonly #publisher: Redis
  readonly #listener: Redis
  readonly #pinging: NodeJS.Timeout
  #listening = false
  #wasReady = false
  #awaySince = Date.now()
  #closed = false

  constructor(source: PublisherOptions['redis'], settings: Settings, events: RedisEvents) {
    this.#settings = settings
    this.#events = events
    this.#publisher = this.#connect(source, 'publish')
    this.#listener = this.#connect(source, 'receipts')
    this.#listener.on('ready', () => void this.#listen())
    this.#listener.on('message', (channel: string, text: string) => {
      const message = channel === receiptsChannel ? parseReceipt(text, settings.receiptSecret) : undefined
      if (message) this.#events.receipt(message)
    })
    for (const client of [this.#publisher, this.#listener]) {
      client.on('error', (error: Error) => this.#events.error(error))
      client.on('close', () => this.#down(client))
      if (client.status === 'wait') client.connect().catch(() => {}) // 'error' reports it
    }
    this.#publisher.on('ready', () => this.#upIfReady())
    if (this.#listener.status === 'ready') void this.#listen()
    this.#pinging = setInterval(() => void this.#ping(), settings.pingMs)
    this.#pinging.unref()
  }

  /** Whether events can be sent and their receipts received. */
  get ready(): boolean {
    return this.#listening && this.#publisher.status === 'ready'
  }

  /** How long it has not been ready, in milliseconds; 0 while it is. */
  get awayMs(): number {
    return this.ready ? 0 : Date.now() - this.#awaySince
  }

  /** Publishes one event, and returns how many subscribers Redis had for it. */
  async publish(body: string): Promise<number> {
    return this.#inTime(this.#publisher, this.#publisher.publish(eventsChannel, body))
  }

  /** Ends both connections. */
  close(): void {
    this.#closed = true
    clearInterval(this.#pinging)
    this.#publisher.disconnect()
    this.#listener.disconnect()
  }

  #connect(source: PublisherOptions['redis'], role: Role): Redis {
    if (typeof source === 'function') return source(role)
    return source.duplicate({
      lazyConnect: false,
      // No command waits inside the client: it is sent now, or it fails now.
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      autoResubscribe: false, // this class subscribes, to know when the subscription is confirmed
      maxRetriesPerRequest: 0,
      connectTimeout: this.#settings.redisTimeoutMs,
      retryStrategy: (n: number) => backoff(n, 50, 2000),
    })
  }

  async #listen(): Promise<void> {
    try {
      await this.#inTime(this.#listener, this.#listener.subscribe(receiptsChannel))
    } catch (error) {
      this.#fault(error)
      this.#listener.disconnect(true)
      return
    }
    if (this.#listener.status !== 'ready') return // lost meanwhile
    this.#listening = true
    this.#upIfReady()
  }

  #upIfReady(): void {
    if (!this.ready || this.#closed) return
    this.#wasReady = true
    this.#events.up()
  }

  #down(client: Redis): void {
    if (client === this.#listener) this.#listening = false
    // Both connections can fail, and more than once: the time counts from the first failure.
    if (this.#wasReady) this.#awaySince = Date.now()
    this.#wasReady = false
  }

  /** Pings the subscription, because a dead one cannot be distinguished from a quiet one. */
  async #ping(): Promise<void> {
    if (!this.#listening) return
    try {
      await this.#inTime(this.#listener, this.#listener.ping())
    } catch (error) {
      this.#fault(error)
    }
  }

  /** Waits for an answer, and replaces the connection if the answer does not arrive in time. */
  async #inTime<T>(client: Redis, answer: Promise<T>): Promise<T> {
    const late = new Error(`Redis did not answer within ${this.#settings.redisTimeoutMs} ms`)
    let timer: NodeJS.Timeout | undefined
    const timeout = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(late)
        // The content of its buffers must not be delivered at some later time.
        if (!this.#closed) client.disconnect(true)
      }, this.#settings.redisTimeoutMs)
    })
    try {
      return await Promise.race([answer, timeout])
    } finally {
      clearTimeout(timer)
    }
  }

  #fault(error: unknown): void {
    if (!this.#closed) this.#events.error(error instanceof Error ? error : new Error(String(error)))
  }
}
