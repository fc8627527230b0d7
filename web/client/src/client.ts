import { backoff } from './backoff.js'
import { fromSocket, type JobEvent, type RealtimeSocket } from './contract.js'
import { Fallback } from './fallback.js'
import type { CaughtUp, ErrorPayload, Gap } from './generated.js'
import { Job, type JobHandlers, Listener, type Position } from './job.js'
import { Link } from './link.js'
import { complete, type RealtimeOptions, type Settings } from './options.js'
import { Http, type PageQuery } from './rest.js'
import { type Reason, type State, type Status, settle, type Transport } from './status.js'
import { Tokens } from './token.js'

interface Downtime {
  /** Whether it has lasted so long that this is due. */
  offline: boolean
  fallback: boolean
  timers: ReturnType<typeof setTimeout>[]
}

/** One subscriber's hold on a job. */
export interface Subscription {
  readonly jobId: string
  readonly status: Status
  /** Where it is: what `since` and `epoch` of a later subscription take to go on. */
  readonly position: Position
  /** Ends it. Nothing is told after that. Once is enough, more often is harmless. */
  unsubscribe(): void
}

/**
 * Makes a client of the gateway. It connects with the first subscription, keeps
 * one socket for all of them, and lets go of it some time after the last.
 */
export function createRealtime(options: RealtimeOptions = {}): Realtime {
  return new Realtime(options)
}

/** A client of the gateway. Made by {@link createRealtime}. */
export class Realtime {
  readonly #settings: Settings
  readonly #link: Link
  readonly #http: Http
  readonly #jobs = new Map<string, Job>()
  /** Jobs that the server may still follow for a session that comes back. */
  readonly #held = new Set<string>()
  /** Requests that the server has not answered yet, for each job in their order: what to do when one is granted. */
  readonly #asked = new Map<string, (() => void)[]>()
  readonly #fallbacks = new Map<Job, Fallback>()
  readonly #retries = new Map<Job, ReturnType<typeof setTimeout>>()
  readonly #listeners = new Set<(status: Status) => void>()
  #status: Status = { state: 'idle' }
  /** What is due in a time without a connection: undefined while there is one, or none is wanted. */
  #downtime: Downtime | undefined
  #lingerTimer: ReturnType<typeof setTimeout> | undefined
  #closed = false

  /** Use {@link createRealtime}. */
  constructor(options: RealtimeOptions) {
    this.#settings = complete(options)
    const tokens = new Tokens(this.#settings.auth)
    this.#http = new Http(this.#settings, tokens)
    this.#link = new Link(this.#settings, tokens, {
      up: (recovered) => this.#up(recovered),
      down: () => this.#down(),
      packet: (name, payload) => this.#packet(name, payload),
      changed: () => this.#refresh(),
    })
  }

  /** The socket below, typed, for what this package has no words for. */
  get socket(): RealtimeSocket {
    return this.#link.socket
  }

  /** How the client stands: as far along as the subscription that is furthest behind. */
  get status(): Status {
    return this.#status
  }

  /** Tells every change of {@link status}. Returns the end of that. */
  onStatus(listener: (status: Status) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Follows a job, from where `handlers.since` says, across every reconnection, until `unsubscribe`. */
  subscribeJob(jobId: string, handlers: JobHandlers): Subscription {
    if (this.#closed) throw new Error('this client is closed')
    let job = this.#jobs.get(jobId)
    if (!job) this.#jobs.set(jobId, (job = new Job(jobId, this.#settings.diagnose)))
    const listener = new Listener(handlers)
    const followed = job
    clearTimeout(this.#lingerTimer)
    this.#link.open()
    job.epoch ??= handlers.epoch
    job.listeners.add(listener)
    listener.status = this.#statusOf(job, listener) // not told: the caller can read it
    if (this.#link.phase === 'up') this.#subscribe(job)
    else this.#fallbacks.get(job)?.restart()
    this.#refresh()
    return {
      jobId,
      get status() {
        return listener.status
      },
      get position() {
        return {
          ...(listener.cursor !== undefined && { sequence: listener.cursor }),
          ...(followed.epoch !== undefined && { epoch: followed.epoch }),
        }
      },
      unsubscribe: () => this.#leave(followed, listener),
    }
  }

  /** How a job that is followed here stands; `idle` when it is not. */
  jobStatus(jobId: string): Status {
    for (const { status } of this.#jobs.get(jobId)?.listeners ?? []) return status
    return { state: 'idle' }
  }

  /** One page of a job's events over HTTP, without following it: to fill a page before it is live. */
  events(jobId: string, query?: PageQuery): Promise<JobEvent[]> {
    return this.#http.page(jobId, query)
  }

  /** Tries now what would be tried later: for a button. After a refusal it also tries what would not be tried again. */
  retry(): void {
    this.#link.now()
    for (const job of this.#jobs.values()) if (job.refusal) this.#again(job)
  }

  /** Ends every subscription and the connection. The client is of no use after that. */
  close(): void {
    this.#closed = true
    for (const job of [...this.#jobs.values()]) for (const listener of [...job.listeners]) this.#leave(job, listener)
    clearTimeout(this.#lingerTimer)
    this.#link.shut()
  }

  // Subscriptions.

  /** Asks the server for a job, from where its listeners are. */
  #subscribe(job: Job): void {
    const listeners = [...job.listeners]
    const { sequence, epoch } = job.start()
    let granted = false
    const grant = () => {
      granted = true
      job.refusal = undefined
      job.opened(listeners)
      for (const listener of listeners) listener.granted = true
      this.#refresh()
    }
    this.#held.add(job.id)
    const asked = this.#asked.get(job.id) ?? []
    this.#asked.set(job.id, asked)
    asked.push(grant)
    const request = { jobId: job.id, ...(sequence !== undefined && { since: sequence, ...(epoch !== undefined && { epoch }) }) }
    this.#link.request('subscribe', request, (answer) => {
      const at = asked.indexOf(grant)
      if (at >= 0) asked.splice(at, 1)
      if (this.#jobs.get(job.id) !== job || this.#link.phase !== 'up') return
      if (answer === undefined) return granted ? undefined : this.#subscribe(job)
      if (!answer.ok) return this.#refused(job, answer)
      if (answer.epoch === undefined) return
      job.epoch = answer.epoch
      job.epochIsNew = listeners.some((listener) => !listener.caughtUp)
    })
  }

  /** The server does not follow this job for us. */
  #refused(job: Job, problem: ErrorPayload): void {
    const { code, message, retryAfterMs, limit, current } = problem
    const delay = retryAfterMs ?? (code === 'INTERNAL' ? backoff(2, this.#settings.minMs, this.#settings.maxMs) : undefined)
    job.refusal = {
      code,
      message,
      ...(limit !== undefined && { limit }),
      ...(current !== undefined && { current }),
      ...(delay !== undefined && { retryAfterMs: delay, retryAt: Date.now() + delay }),
    }
    for (const listener of job.listeners) listener.open = listener.granted = listener.caughtUp = false
    this.#held.delete(job.id)
    clearTimeout(this.#retries.get(job))
    if (delay !== undefined) this.#retries.set(job, setTimeout(() => this.#again(job), delay))
    job.error(problem)
    this.#refresh()
  }

  /** Asks again for a job that was refused. */
  #again(job: Job): void {
    if (this.#jobs.get(job.id) !== job || this.#link.phase !== 'up' || !job.refusal) return
    this.#subscribe(job)
  }

  #leave(job: Job, listener: Listener): void {
    if (!job.listeners.delete(listener)) return
    listener.status = { state: 'idle' }
    if (job.listeners.size === 0) {
      this.#jobs.delete(job.id)
      clearTimeout(this.#retries.get(job))
      this.#retries.delete(job)
      this.#fallbacks.get(job)?.stop()
      this.#fallbacks.delete(job)
      if (this.#link.phase === 'up' && this.#held.delete(job.id)) this.#unfollow(job.id)
      if (this.#jobs.size === 0) {
        clearTimeout(this.#lingerTimer)
        this.#lingerTimer = setTimeout(() => this.#link.shut(), this.#settings.lingerMs)
      }
    }
    this.#refresh()
  }

  #unfollow(jobId: string): void {
    this.#link.request('unsubscribe', { jobId }, () => {
      // There is room for one that had none.
      for (const job of this.#jobs.values()) if (job.refusal?.code === 'SUBSCRIPTION_LIMIT_REACHED') return this.#again(job)
    })
  }

  // The connection.

  #up(recovered: boolean): void {
    for (const fallback of this.#fallbacks.values()) fallback.stop()
    this.#fallbacks.clear()
    if (!recovered) this.#held.clear()
    for (const jobId of [...this.#held]) {
      // The session goes on after what was received: right for those who had all of that, and for nobody else.
      const job = this.#jobs.get(jobId)
      if (job && [...job.listeners].every(({ granted }) => granted)) continue
      this.#held.delete(jobId)
      this.#unfollow(jobId)
    }
    for (const job of this.#jobs.values()) {
      const kept = this.#held.has(job.id)
      for (const listener of job.listeners) {
        listener.open = listener.granted = kept
        listener.caughtUp = false
      }
      this.#subscribe(job)
    }
  }

  #down(): void {
    this.#asked.clear()
    for (const job of this.#jobs.values()) job.lost()
  }

  /**
   * While a connection is tried for: after a while events are fetched in another
   * way, and after another it is called offline. A refusal is no such time: a
   * gateway that is full is not asked for the same in another way.
   */
  #watchDowntime(): void {
    const { phase } = this.#link
    const trying = phase === 'connecting' || phase === 'waiting'
    if (trying === (this.#downtime !== undefined)) return
    for (const timer of this.#downtime?.timers ?? []) clearTimeout(timer)
    this.#downtime = undefined
    if (!trying) return
    const { offlineAfterMs, fallback } = this.#settings
    const downtime: Downtime = { offline: false, fallback: false, timers: [] }
    const due = (what: 'offline' | 'fallback', ms: number) => {
      downtime.timers.push(setTimeout(() => {
        downtime[what] = true
        this.#refresh()
      }, ms))
    }
    due('offline', offlineAfterMs)
    if (fallback) due('fallback', fallback.afterMs)
    this.#downtime = downtime
  }

  #packet(name: string, payload: unknown): void {
    const jobId = (payload as { jobId?: unknown } | undefined)?.jobId
    const job = typeof jobId === 'string' ? this.#jobs.get(jobId) : undefined
    if (name === 'novel.subscribed') return this.#asked.get(jobId as string)?.shift()?.()
    if (name === 'novel.error') {
      // Requests learn it from their answers; this one ends what had been granted.
      if (job && (payload as ErrorPayload).code === 'JOB_FORBIDDEN' && !this.#asked.get(job.id)?.length) this.#refused(job, payload as ErrorPayload)
      return
    }
    if (job) this.#deliver(job, name, payload as object)
    else if (name !== 'pong' && typeof jobId !== 'string') this.#settings.diagnose({ code: 'malformed', name })
  }

  /** Hands on what a socket or an event stream has brought. */
  #deliver(job: Job, name: string, payload: object): void {
    if (name === 'novel.caught-up') {
      job.caughtUp(payload as CaughtUp)
      this.#refresh()
    } else if (name === 'novel.gap') job.gap(payload as Gap)
    else if (name !== 'novel.subscribed' && name !== 'novel.unsubscribed') job.event(fromSocket(name, payload, this.#settings.kinds))
  }

  // Status.

  /** Works out anew how everything stands, and tells what has changed. */
  #refresh(): void {
    this.#watchDowntime()
    this.#fallBack()
    for (const job of [...this.#jobs.values()]) {
      for (const listener of [...job.listeners]) {
        const before = listener.status
        listener.status = settle(before, this.#statusOf(job, listener))
        if (listener.status !== before) job.told(listener)
      }
    }
    const before = this.#status
    this.#status = settle(before, this.#overall())
    if (this.#status !== before) for (const listener of [...this.#listeners]) listener(this.#status)
  }

  #statusOf(job: Job, { open, caughtUp }: Listener): Status {
    if (job.refusal) return { state: 'refused', reason: job.refusal }
    const transport = this.#link.phase === 'up' ? this.#transport() : job.via
    if (!transport) return this.#unconnected()
    const state: State = !open ? 'connected' : caughtUp ? 'live' : 'catching-up'
    return this.#carried(state, transport)
  }

  #carried(state: State, transport: Transport): Status {
    const { reason } = this.#link
    return reason ? { state, transport, reason } : { state, transport }
  }

  #transport(): Transport {
    return this.#link.socket.io.engine?.transport.name === 'polling' ? 'polling' : 'websocket'
  }

  /** How a client stands whose socket is not connected, and for whom nothing stands in. */
  #unconnected(): Status {
    const { phase, reason, wasUp } = this.#link
    const with_ = (state: State, why: Reason | undefined): Status => (why ? { state, reason: why } : { state })
    if (phase === 'parked') return with_('idle', reason)
    if (phase === 'refused') return with_('refused', reason)
    if (globalThis.navigator?.onLine === false) return with_('offline', reason ?? { code: 'BROWSER_OFFLINE', message: 'The browser has no network.' })
    if (this.#downtime?.offline) return with_('offline', reason)
    return with_(wasUp ? 'reconnecting' : 'connecting', reason)
  }

  #overall(): Status {
    const order: State[] = ['connected', 'catching-up', 'live']
    let worst: Status | undefined
    for (const job of this.#jobs.values()) {
      for (const { status } of job.listeners) {
        const rank = order.indexOf(status.state)
        if (rank >= 0 && (!worst || rank < order.indexOf(worst.state))) worst = status
      }
    }
    if (worst) return worst
    return this.#link.phase === 'up' ? this.#carried('connected', this.#transport()) : this.#unconnected()
  }

  // What stands in for the socket.

  /** Starts or ends the fallback of each job, as the connection has it. */
  #fallBack(): void {
    const { fallback } = this.#settings
    if (!fallback || !this.#downtime?.fallback) return
    for (const job of this.#jobs.values()) {
      if (job.refusal || this.#fallbacks.has(job)) continue
      const streams = [...this.#fallbacks.values()].filter(({ streams }) => streams).length
      const hooks = {
        deliver: (name: string, payload: object) => this.#deliver(job, name, payload),
        changed: () => this.#refresh(),
        refused: (problem: ErrorPayload) => this.#refused(job, problem),
      }
      this.#fallbacks.set(job, new Fallback(job, this.#http, this.#settings, fallback, streams < fallback.maxStreams, hooks))
    }
  }
}
