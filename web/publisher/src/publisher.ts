import { randomUUID } from 'node:crypto'
import { encode, sameEvent } from './check.js'
import { Courier } from './courier.js'
import type { Envelope } from './envelope.js'
import { ClosedError, type JournalError, OutboxFullError, RejectedError } from './errors.js'
import { HttpLink } from './http.js'
import { Journal } from './journal.js'
import { begin } from './opentelemetry.js'
import { type PublisherOptions, type Settings, settle } from './options.js'
import { type Entry, newEntry, Outbox } from './outbox.js'
import type { Receipt } from './receipt.js'
import { RedisLink } from './redis.js'

/** How long the same fault is not reported again. */
const repeatFaultMs = 10_000

/** What a publisher has done since its creation, and what it holds now. */
export interface Stats {
  /** Events in the outbox, their bytes, and the number in flight. */
  pendingEvents: number
  pendingBytes: number
  inFlight: number
  /** How long the oldest event has waited, in milliseconds; 0 without events. */
  oldestMs: number
  /** Whether events can be published in Redis and receipts received. */
  redisReady: boolean
  /** Accepted events, those among them from the journal, and events refused because the outbox was full. */
  accepted: number
  recovered: number
  refusedFull: number
  /** Attempts to send, and the number of those that were not the first of their event. */
  attempts: number
  repeats: number
  /** Confirmed events; those among them that were confirmed over HTTP, and those that the log already had. */
  confirmed: number
  confirmedHttp: number
  duplicates: number
  /** Events that were refused or given up. */
  rejected: number
  /** Writes to the journal that failed. */
  journalErrors: number
}

/**
 * Creates a publisher, which connects at once. With `dir` it begins with the events that
 * an earlier publisher has left there.
 *
 * @throws RangeError or TypeError names an option that is out of its range.
 * @throws JournalError when the journal cannot be opened.
 */
export function createPublisher(options: PublisherOptions): Publisher {
  return new Publisher(options)
}

/** Publishes events, and keeps each until the log has it. Created by {@link createPublisher}. */
export class Publisher {
  readonly #options: PublisherOptions
  readonly #settings: Settings
  readonly #outbox: Outbox
  readonly #journal: Journal | undefined
  readonly #redis: RedisLink
  readonly #http: HttpLink | undefined
  readonly #courier: Courier
  readonly #counts = {
    accepted: 0, recovered: 0, refusedFull: 0, confirmed: 0, confirmedHttp: 0, duplicates: 0, rejected: 0, journalErrors: 0,
  }
  #waiting: (() => void)[] = []
  #whenEmpty: (() => void) | undefined
  #toldFull = false
  readonly #told = new Map<string, number>() // when each fault was last reported
  #closing: Promise<number> | undefined

  /** Use {@link createPublisher}. */
  constructor(options: PublisherOptions) {
    this.#options = options
    this.#settings = settle(options)
    this.#outbox = new Outbox(this.#settings)
    this.#journal = this.#settings.dir === undefined ? undefined : new Journal(this.#settings.dir, this.#settings.fsync)
    this.#http = this.#settings.http && new HttpLink(this.#settings.http)
    this.#redis = new RedisLink(options.redis, this.#settings, {
      receipt: (message) => this.#courier.receipt(message),
      up: () => this.#courier.wake(),
      error: (error) => this.#fault(error),
    })
    this.#courier = new Courier(this.#settings, this.#redis, this.#http, {
      confirmed: (entry, receipt, via) => this.#confirmed(entry, receipt, via),
      rejected: (entry, error) => this.#rejected(entry, error),
      error: (error) => this.#fault(error),
    })
    for (const { jobId, id, body } of this.#journal?.pending() ?? []) {
      this.#counts.recovered++
      this.#accept(newEntry(id, jobId, body))
    }
  }

  /**
   * Accepts an event, and resolves with its receipt once the log has it. Events
   * of one job are stored in the order of the calls. The promise may be ignored:
   * `onReceipt` and `onRejected` also receive the outcome.
   *
   * If the outbox already has an event of the job with the same `id` and body, the call
   * returns the promise of that event: a worker that starts again may publish the events
   * again that its predecessor left in the journal. The trace context may differ.
   *
   * In an application with `@opentelemetry/api`, the event has a span until its receipt, a child of the
   * active span, and an event without `traceparent` gets the trace context of that span.
   *
   * Rejects with
   * - {@link OutboxFullError} at the bound. The event was not accepted.
   * - {@link RejectedError} when the publisher or a gateway refuses the event, or when
   *   it was given up after `giveUpAfterMs`.
   * - {@link JournalError} when the journal cannot be written. The event was not accepted.
   * - {@link ClosedError} when the publisher is closed, or closes before the receipt arrives.
   */
  publish(envelope: Envelope): Promise<Receipt> {
    const publication = begin(envelope.jobId, envelope.kind)
    try {
      const traceparent = envelope.traceparent ?? publication?.traceparent
      const outcome = this.#take(traceparent === undefined ? envelope : { ...envelope, traceparent })
      publication?.follow(outcome)
      return outcome
    } catch (error) {
      publication?.fail(error)
      const refused = Promise.reject(error as Error)
      refused.catch(() => {}) // so that a caller may ignore the promise, as one that is rejected later
      return refused
    }
  }

  /** Resolves when at most three quarters of the bounds are in use, or the publisher closes. */
  room(): Promise<void> {
    if (this.#outbox.hasRoom || this.#closing) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  /** The statistics of this publisher. */
  stats(): Stats {
    const oldest = this.#outbox.oldest
    return {
      pendingEvents: this.#outbox.events,
      pendingBytes: this.#outbox.bytes,
      inFlight: this.#courier.inFlight,
      oldestMs: oldest === undefined ? 0 : Date.now() - oldest,
      redisReady: this.#redis.ready,
      ...this.#counts,
      ...this.#courier.counts,
    }
  }

  /**
   * Accepts no more events, waits until the outbox is empty or `timeoutMs` (default
   * 5000) has passed, and ends the connections. Resolves with the number of unconfirmed
   * events. Their promises are rejected with {@link ClosedError}, and
   * with a journal the next publisher sends them. Further calls return the
   * result of the first.
   */
  close({ timeoutMs = 5000 }: { timeoutMs?: number } = {}): Promise<number> {
    this.#closing ??= this.#close(timeoutMs)
    return this.#closing
  }

  #take(envelope: Envelope): Promise<Receipt> {
    if (this.#closing) throw new ClosedError()
    const id = envelope.id || randomUUID()
    const body = encode(envelope, id, this.#settings)
    const known = this.#outbox.find(envelope.jobId, id)
    if (known) {
      if (sameEvent(known.body, body)) return known.promise
      throw new RejectedError('id-conflict', `another event of the job with the id ${JSON.stringify(id)} waits for its receipt`)
    }
    const entry = newEntry(id, envelope.jobId, body)
    if (!this.#outbox.fits(entry.bytes)) {
      this.#counts.refusedFull++
      const { events, bytes } = this.#outbox
      if (!this.#toldFull) this.#tell(() => this.#options.onFull?.({ events, bytes }))
      this.#toldFull = true
      throw new OutboxFullError(events, bytes, this.#settings)
    }
    try {
      this.#journal?.add(envelope.jobId, id, body)
    } catch (error) {
      this.#counts.journalErrors++
      this.#fault(error as Error)
      throw error
    }
    this.#accept(entry)
    return entry.promise
  }

  #accept(entry: Entry): void {
    this.#counts.accepted++
    if (this.#outbox.add(entry)) this.#courier.start(entry)
  }

  #confirmed(entry: Entry, receipt: Receipt, via: 'redis' | 'http'): Entry | undefined {
    const next = this.#leave(entry)
    this.#counts.confirmed++
    if (via === 'http') this.#counts.confirmedHttp++
    if (receipt.duplicate) this.#counts.duplicates++
    this.#tell(() => this.#options.onReceipt?.(receipt))
    entry.resolve(receipt)
    return next
  }

  #rejected(entry: Entry, error: RejectedError): Entry | undefined {
    const next = this.#leave(entry)
    this.#counts.rejected++
    this.#tell(() => this.#options.onRejected?.(JSON.parse(entry.body) as Envelope, error))
    entry.reject(error)
    return next
  }

  #leave(entry: Entry): Entry | undefined {
    const next = this.#outbox.removeHead(entry)
    try {
      this.#journal?.remove(entry.jobId, entry.id)
    } catch (error) {
      // The event is confirmed nevertheless. At worst it is sent again after a restart.
      this.#counts.journalErrors++
      this.#fault(error as JournalError)
    }
    if (this.#outbox.hasRoom) {
      this.#toldFull = false
      for (const go of this.#waiting.splice(0)) go()
    }
    if (this.#outbox.events === 0) this.#whenEmpty?.()
    return next
  }

  async #close(timeoutMs: number): Promise<number> {
    if (this.#outbox.events > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, timeoutMs)
        this.#whenEmpty = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
    this.#courier.close()
    this.#http?.close()
    this.#redis.close()
    this.#journal?.close()
    for (const go of this.#waiting.splice(0)) go()
    const left = this.#outbox.all()
    const why = new ClosedError(`the publisher closed before the receipt came${this.#journal ? '; the event is in the journal' : ''}`)
    for (const entry of left) entry.reject(why)
    return left.length
  }

  /** Reports a fault; the same one at most every ten seconds. */
  #fault(error: Error): void {
    const last = this.#told.get(error.message)
    if (last !== undefined && Date.now() - last < repeatFaultMs) return
    if (this.#told.size >= 100) this.#told.clear()
    this.#told.set(error.message, Date.now())
    this.#tell(() => this.#options.onError?.(error))
  }

  /** Calls a callback. An error that it throws becomes an uncaught error. */
  #tell(callback: () => void): void {
    try {
      callback()
    } catch (error) {
      queueMicrotask(() => {
        throw error
      })
    }
  }
}
