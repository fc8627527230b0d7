import { backoff } from './backoff.js'
import { RejectedError } from './errors.js'
import type { Answer } from './http.js'
import type { Settings } from './options.js'
import type { Entry } from './outbox.js'
import type { Receipt, Refusal } from './receipt.js'

/** The longest pause, in milliseconds, between attempts of the one event that tests whether a gateway is subscribed again. */
const probeMs = 500

/** The part of RedisLink that a {@link Courier} uses. */
export interface Redis {
  readonly ready: boolean
  readonly awayMs: number
  publish(body: string): Promise<number>
}

/** The part of HttpLink that a {@link Courier} uses. */
export interface Http {
  send(body: string): Promise<Answer>
}

/** The functions that a {@link Courier} calls when an event is confirmed or refused. Each removes the event, and returns the next one of its job. */
export interface Ends {
  confirmed(entry: Entry, receipt: Receipt, via: 'redis' | 'http'): Entry | undefined
  rejected(entry: Entry, error: RejectedError): Entry | undefined
  error(error: Error): void
}

/**
 * The first event of one job. Its phases:
 *
 *     queued ──▶ sending ──▶ awaiting ──▶ pausing
 *       ▲           └─failed───────────────▲ │
 *       └────────────────────────────────────┘
 *
 * `sending` and `awaiting` hold one of the places in flight.
 */
interface Lane {
  entry: Entry
  phase: 'queued' | 'sending' | 'awaiting' | 'pausing'
  timer: NodeJS.Timeout | undefined
  /** The number of its turns, including those without a way to send it. */
  tries: number
  /** Whether its last attempt tested whether receipts arrive from Redis again. */
  probed: boolean
}

/**
 * Sends the first event of each job, and repeats it until it is confirmed or
 * refused. Only then is the next event of the job sent, so that a repetition never
 * arrives after its successor. Events of different jobs do not wait for each other.
 */
export class Courier {
  readonly #settings: Settings
  readonly #redis: Redis
  readonly #http: Http | undefined
  readonly #ends: Ends
  readonly #lanes = new Map<string, Lane>() // by job
  #queue: Lane[] = []
  #inFlight = 0
  #closed = false
  /** Since when Redis has accepted events and no receipt has arrived; undefined while receipts arrive. */
  #silentSince: number | undefined
  #lastProbe = 0
  /** The event that is repeated more often than the others while Redis has no subscriber; undefined while it has one. */
  #probe: Lane | undefined

  /** The number of attempts to send, and of those that were not the first of their event. */
  readonly counts = { attempts: 0, repeats: 0 }

  constructor(settings: Settings, redis: Redis, http: Http | undefined, ends: Ends) {
    this.#settings = settings
    this.#redis = redis
    this.#http = http
    this.#ends = ends
  }

  /** Events that are being sent, or wait for a receipt that is not overdue. */
  get inFlight(): number {
    return this.#inFlight
  }

  /** Begins with the first event of a job. */
  start(entry: Entry): void {
    const lane: Lane = { entry, phase: 'queued', timer: undefined, tries: 0, probed: false }
    this.#lanes.set(entry.jobId, lane)
    this.#queue.push(lane)
    this.#pump()
  }

  /** Takes a receipt or a refusal, which may be about another publisher's event. */
  receipt(message: Receipt | Refusal): void {
    const lane = this.#lanes.get(message.jobId)
    if (!lane || lane.entry.id !== message.id || lane.entry.attempts === 0) return
    const wasSilent = this.#silentSince !== undefined
    this.#silentSince = undefined
    if ('reason' in message) this.#reject(lane, new RejectedError(message.reason, 'the log refuses the event'))
    else this.#confirm(lane, message, 'redis')
    if (wasSilent) this.wake()
  }

  /** Repeats all pausing events now, spread over a tenth of a second, because the cause of their pause may be over. */
  wake(): void {
    for (const lane of this.#lanes.values()) {
      if (lane.phase !== 'awaiting' && lane.phase !== 'pausing') continue
      this.#leaveFlight(lane)
      this.#schedule(lane, Math.random() * 100, () => this.#enqueue(lane))
    }
    this.#pump()
  }

  /** Stops sending. */
  close(): void {
    this.#closed = true
    for (const lane of this.#lanes.values()) clearTimeout(lane.timer)
    this.#lanes.clear()
    this.#queue = []
  }

  #pump(): void {
    // An attempt that fails at once calls this method again, when its lane is not in the queue.
    while (this.#inFlight < this.#settings.maxInFlight) {
      const lane = this.#queue.shift()
      if (!lane) return
      if (lane.entry.settled) continue
      lane.phase = 'sending'
      this.#inFlight++
      void this.#send(lane)
    }
  }

  async #send(lane: Lane): Promise<void> {
    const { entry } = lane
    lane.tries++
    entry.firstTriedAt ||= Date.now()
    const http = this.#http && this.#prefersHttp(lane) ? this.#http : undefined
    // Without the subscription a receipt would be missed.
    if (!http && !this.#redis.ready) return this.#pause(lane, 0)
    entry.attempts++
    this.counts.attempts++
    if (entry.attempts > 1) this.counts.repeats++
    await (http ? this.#sendHttp(http, lane) : this.#sendRedis(lane))
  }

  async #sendRedis(lane: Lane): Promise<void> {
    let listeners = 0
    try {
      listeners = await this.#redis.publish(lane.entry.body)
    } catch (error) {
      if (!this.#closed) this.#ends.error(error as Error)
    }
    if (!this.#isSending(lane)) return
    if (listeners === 0) {
      // No subscriber received the event, so no receipt will arrive. One event tests soon whether there is a subscriber again.
      if (!this.#probe || this.#probe.entry.settled) this.#probe = lane
      this.#unanswered(lane)
      return
    }
    if (this.#probe) {
      this.#probe = undefined
      this.wake() // before this lane waits, which needs no waking
    }
    lane.phase = 'awaiting'
    this.#schedule(lane, this.#settings.receiptTimeoutMs, () => this.#unanswered(lane))
  }

  #unanswered(lane: Lane): void {
    if (this.#redis.ready) this.#silentSince ??= Date.now()
    this.#pause(lane, 0)
  }

  async #sendHttp(http: Http, lane: Lane): Promise<void> {
    const answer = await http.send(lane.entry.body)
    if (!this.#isSending(lane)) return
    if ('receipt' in answer) this.#confirm(lane, answer.receipt, 'http')
    else if ('rejected' in answer) this.#reject(lane, new RejectedError(answer.rejected, answer.detail))
    else {
      this.#ends.error(answer.failed)
      this.#pause(lane, answer.retryAfterMs)
    }
  }

  #prefersHttp(lane: Lane): boolean {
    const { entry } = lane
    const { afterMs, afterAttempts } = this.#settings.http ?? { afterMs: 0, afterAttempts: 1 }
    if (!this.#redis.ready) return this.#redis.awayMs >= afterMs
    const now = Date.now()
    if (this.#silentSince !== undefined && now - this.#silentSince >= afterMs) {
      // One event at a time tests whether receipts arrive again. It does not test twice in a row: its
      // attempts may be further apart than the tests, and then it would never be sent over HTTP.
      lane.probed = !lane.probed && now - this.#lastProbe >= Math.max(afterMs, this.#settings.receiptTimeoutMs)
      if (lane.probed) this.#lastProbe = now
      return !lane.probed
    }
    // Other events are confirmed and this one is not: over HTTP the gateway answers with the reason.
    return entry.attempts >= afterAttempts && (entry.attempts - afterAttempts) % 2 === 0
  }

  /** Repeats an event later after an attempt without a result, or gives it up. */
  #pause(lane: Lane, atLeastMs: number): void {
    const { entry } = lane
    this.#leaveFlight(lane)
    const { giveUpAfterMs, backoffMinMs, backoffMaxMs } = this.#settings
    if (giveUpAfterMs > 0 && Date.now() - entry.firstTriedAt >= giveUpAfterMs) {
      this.#reject(lane, new RejectedError('unconfirmed', `no gateway confirmed it within ${giveUpAfterMs} ms, in ${entry.attempts} attempts`))
      return
    }
    const most = lane === this.#probe ? probeMs : Infinity
    const pause = Math.min(most, backoff(lane.tries, backoffMinMs, backoffMaxMs))
    this.#schedule(lane, Math.max(atLeastMs, pause), () => this.#enqueue(lane))
    this.#pump()
  }

  #enqueue(lane: Lane): void {
    lane.phase = 'queued'
    this.#queue.push(lane)
    this.#pump()
  }

  #confirm(lane: Lane, receipt: Receipt, via: 'redis' | 'http'): void {
    this.#end(lane, () => this.#ends.confirmed(lane.entry, receipt, via))
  }

  #reject(lane: Lane, error: RejectedError): void {
    this.#end(lane, () => this.#ends.rejected(lane.entry, error))
  }

  #end(lane: Lane, end: () => Entry | undefined): void {
    this.#leaveFlight(lane)
    clearTimeout(lane.timer)
    this.#lanes.delete(lane.entry.jobId)
    const next = end()
    if (next) this.start(next)
    else this.#pump()
  }

  /** Frees a place in flight. */
  #leaveFlight(lane: Lane): void {
    if (lane.phase !== 'sending' && lane.phase !== 'awaiting') return
    this.#inFlight--
    lane.phase = 'pausing'
  }

  #isSending(lane: Lane): boolean {
    return !this.#closed && !lane.entry.settled && lane.phase === 'sending'
  }

  #schedule(lane: Lane, ms: number, action: () => void): void {
    clearTimeout(lane.timer)
    lane.timer = setTimeout(action, ms)
  }
}
