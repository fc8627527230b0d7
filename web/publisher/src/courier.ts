import { backoff } from './backoff.js'
import { RejectedError } from './errors.js'
import type { Answer } from './http.js'
import type { Settings } from './options.js'
import type { Entry } from './outbox.js'
import type { Receipt, Refusal } from './receipt.js'

/** The longest pause, in milliseconds, of the one event that asks whether gateways listen again. */
const probeMs = 500

/** What a {@link Courier} needs of Redis; see RedisLink. */
export interface Redis {
  readonly ready: boolean
  readonly awayMs: number
  publish(body: string): Promise<number>
}

/** What a {@link Courier} needs of HTTP; see HttpLink. */
export interface Http {
  send(body: string): Promise<Answer>
}

/** Who hears of the end of an event's way. Each takes the event out, and returns the next of its job. */
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
  /** How often its turn came, also when there was no way to send it. */
  tries: number
  /** Its last attempt tried whether receipts come from Redis again. */
  probed: boolean
}

/**
 * Sends the first event of each job, again and again, until it is confirmed or
 * refused. The next of the job is sent only then, so a repetition never comes
 * behind its successor. Events of different jobs do not wait for each other.
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
  /** Since when Redis has taken events and no receipt has come; undefined while they come. */
  #silentSince: number | undefined
  #lastProbe = 0
  /** The event that is repeated more often than the others while nobody listens to Redis; undefined while somebody does. */
  #probe: Lane | undefined

  /** Attempts to send, and those of them that were not the first of their event. */
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

  /** Takes a receipt or a refusal, whoever's event it is about. */
  receipt(message: Receipt | Refusal): void {
    const lane = this.#lanes.get(message.jobId)
    if (!lane || lane.entry.id !== message.id || lane.entry.attempts === 0) return
    const wasSilent = this.#silentSince !== undefined
    this.#silentSince = undefined
    if ('reason' in message) this.#reject(lane, new RejectedError(message.reason, 'the log refuses the event'))
    else this.#confirm(lane, message, 'redis')
    if (wasSilent) this.wake()
  }

  /** Repeats at once, spread over a tenth of a second, what waits for its time: what kept it may be over. */
  wake(): void {
    for (const lane of this.#lanes.values()) {
      if (lane.phase !== 'awaiting' && lane.phase !== 'pausing') continue
      this.#leaveFlight(lane)
      this.#schedule(lane, Math.random() * 100, () => this.#enqueue(lane))
    }
    this.#pump()
  }

  /** Sends nothing any more. */
  close(): void {
    this.#closed = true
    for (const lane of this.#lanes.values()) clearTimeout(lane.timer)
    this.#lanes.clear()
    this.#queue = []
  }

  #pump(): void {
    // An attempt that fails at once comes back here, with its lane out of the queue.
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
      // Nobody has it: there is nothing to wait for, and one event finds out soon when that is over.
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
      // One event at a time tries whether receipts come again. It does not try twice in a row: its
      // attempts may be further apart than the probes, and it would never go over HTTP.
      lane.probed = !lane.probed && now - this.#lastProbe >= Math.max(afterMs, this.#settings.receiptTimeoutMs)
      if (lane.probed) this.#lastProbe = now
      return !lane.probed
    }
    // Others are confirmed and this one is not: over HTTP it is told why.
    return entry.attempts >= afterAttempts && (entry.attempts - afterAttempts) % 2 === 0
  }

  /** After an attempt that brought nothing: repeat it later, or give up. */
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

  /** Gives a place in flight back. */
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
