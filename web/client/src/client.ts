import { fromSocket, type JobEvent, type RealtimeSocket } from './contract.js'
import { Fallback, type FallbackHooks } from './fallback.js'
import type { CaughtUp, ErrorPayload, Gap } from './generated.js'
import { Job, type JobHandlers, Listener, positionOf } from './job.js'
import { Link } from './link.js'
import { received } from './opentelemetry.js'
import { complete, type Diagnostic, type RealtimeOptions, type Settings } from './options.js'
import type { Position } from './position.js'
import { Http, maxAdviceMs, type Page, type PageQuery } from './rest.js'
import { checking, noNetwork, reasonOf, type State, type Status, settle, type Transport } from './status.js'
import { Tokens } from './token.js'

/** The subscription of one subscriber to a job. */
export interface Subscription {
  readonly jobId: string
  readonly status: Status
  /** The position of the last event that the subscriber received, in two parts. */
  readonly position: Position
  /** The same position as one string, `EPOCH:SEQUENCE`. Pass it as `since` to a later subscription. Undefined before the first event, and while the epoch is unknown. */
  readonly cursor: string | undefined
  /** Ends the subscription. No handler is called after that. Further calls have no effect. */
  unsubscribe(): void
}

/**
 * Creates a client of the gateway. The client connects with the first subscription, uses
 * one socket for all of them, and closes it some time after the last one has ended.
 */
export function createRealtime(options: RealtimeOptions = {}): Realtime {
  return new Realtime(options)
}

/** A client of the gateway, created by {@link createRealtime}. */
export class Realtime {
  /** Calls `onDiagnostic`. It is for code that is built on this client, such as the hooks. */
  readonly diagnose: (diagnostic: Diagnostic) => void
  readonly #settings: Settings
  readonly #link: Link
  readonly #http: Http
  readonly #jobs = new Map<string, Job>()
  /** For each job, in order, the functions to call when the server grants a request that it has not answered yet. */
  readonly #asked = new Map<string, ((epoch: string | undefined) => void)[]>()
  readonly #listeners = new Set<(status: Status) => void>()
  readonly #hooks: FallbackHooks = {
    deliver: (job, name, payload) => this.#deliver(job, name, payload),
    changed: () => this.#refresh(),
    refused: (job, problem) => this.#refused(job, problem),
  }
  #status: Status = { state: 'idle' }
  /** The time limits that the present attempt to connect has passed; undefined without an attempt. */
  #due: Set<'offline' | 'fallback'> | undefined
  #dueTimers: ReturnType<typeof setTimeout>[] = []
  #lingerTimer: ReturnType<typeof setTimeout> | undefined
  #closed = false

  /** Use {@link createRealtime}. */
  constructor(options: RealtimeOptions) {
    this.#settings = complete(options)
    this.diagnose = this.#settings.diagnose
    const tokens = new Tokens(this.#settings.auth)
    this.#http = new Http(this.#settings, tokens)
    this.#link = new Link(this.#settings, tokens, {
      up: (recovered) => this.#up(recovered),
      down: () => this.#down(),
      packet: (name, payload) => this.#packet(name, payload),
      changed: () => this.#refresh(),
      standsIn: () => [...this.#jobs.values()].some(({ via, stale }) => via && !stale),
      woken: () => this.#checkFallbacks((job) => !job.refusal), // a refusal has its own time
    })
  }

  /** The underlying socket, typed, for features that this package does not offer. */
  get socket(): RealtimeSocket {
    return this.#link.socket
  }

  /** The status of the client: that of the subscription that is furthest behind. */
  get status(): Status {
    return this.#status
  }

  /** Calls the listener at every change of {@link status}. Returns a function that ends this. */
  onStatus(listener: (status: Status) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Follows a job from the position `handlers.since`, across every reconnection, until `unsubscribe`. */
  subscribeJob(jobId: string, handlers: JobHandlers): Subscription {
    if (this.#closed) throw new Error('this client is closed')
    const listener = new Listener(handlers)
    let job = this.#jobs.get(jobId)
    if (!job) this.#jobs.set(jobId, (job = new Job(jobId, this.diagnose)))
    const followed = job
    clearTimeout(this.#lingerTimer)
    this.#link.open()
    job.listeners.add(listener)
    listener.status = this.#statusOf(job, listener) // the handler is not called: the caller can read it
    if (this.#link.phase === 'up') this.#join(job, listener)
    else job.fallback?.restart()
    this.#refresh()
    return {
      jobId,
      get status() {
        return listener.status
      },
      get position() {
        return { sequence: listener.cursor, epoch: listener.epoch }
      },
      get cursor() {
        return positionOf(listener)
      },
      unsubscribe: () => this.#leave(followed, listener),
    }
  }

  /** One page of a job's events over HTTP, without following it: to fill a page before it is live. */
  async events(jobId: string, query?: PageQuery): Promise<JobEvent[]> {
    return (await this.page(jobId, query)).events
  }

  /** One page of a job's events, with its epoch and position, its gap, and whether it is complete. */
  page(jobId: string, query?: PageQuery): Promise<Page> {
    return this.#http.page(jobId, query)
  }

  /**
   * Begins a new attempt now, in place of one that is in progress. It is for a button,
   * or for an app that comes to the foreground. After a refusal it also tries requests
   * that the client would not repeat by itself. If there is a connection, or a fallback, it is checked.
   */
  retry(): void {
    this.#checkFallbacks()
    this.#link.retry()
    for (const job of this.#jobs.values()) if (job.refusal) this.#again(job)
  }

  /** Ends every subscription and the connection. The client cannot be used after that. */
  close(): void {
    this.#closed = true
    for (const job of this.#jobs.values()) for (const listener of job.listeners) this.#leave(job, listener)
    clearTimeout(this.#lingerTimer)
    this.#link.shut()
  }

  // Subscriptions.

  /** Serves one more listener while there is a connection. */
  #join(job: Job, listener: Listener): void {
    const { fresh } = job
    if (!fresh) this.#subscribe(job)
    else if (listener.cursor !== undefined) job.waiting = true
    else {
      fresh.listeners.push(listener)
      if (fresh.granted) job.opened([listener])
    }
  }

  /** Requests a job from the server, from the position of its listeners. */
  #subscribe(job: Job): void {
    const { listeners, since, epoch } = job.next()
    if (job.fresh && job.requests > 0) this.#unfollow(job.id) // or nothing would be replayed
    this.#ask(job, listeners, { since, epoch })
  }

  #ask(job: Job, listeners: Listener[], from: { since?: number | undefined; epoch?: string | undefined }): void {
    const request = ++job.requests
    let granted = false
    const grant = (epoch: string | undefined) => {
      granted = true
      job.refusal = undefined
      if (request !== job.requests) return // the answer begins too late for listeners that were added since
      job.opened(listeners)
      if (epoch !== undefined) job.inEpoch(epoch, true)
      this.#refresh()
    }
    const asked = this.#asked.get(job.id) ?? []
    this.#asked.set(job.id, asked)
    asked.push(grant)
    this.#link.request('subscribe', { jobId: job.id, ...from }, (answer) => {
      const at = asked.indexOf(grant)
      if (at >= 0) asked.splice(at, 1)
      if (this.#jobs.get(job.id) !== job || this.#link.phase !== 'up') return
      if (answer === undefined) return granted ? undefined : this.#subscribe(job)
      if (!answer.ok) return this.#refused(job, answer)
      if (answer.epoch === undefined || request !== job.requests) return
      const replaying = listeners.some((listener) => !listener.caughtUp)
      if (job.inEpoch(answer.epoch, replaying) && !replaying && job.waiting) this.#subscribe(job)
    })
  }

  /** Handles the refusal of a job by the server. */
  #refused(job: Job, problem: ErrorPayload): void {
    const { code, retryAfterMs } = problem
    const delay = (retryAfterMs && Math.min(retryAfterMs, maxAdviceMs)) ?? (code === 'INTERNAL' ? this.#settings.backoff(2) : undefined)
    job.refusal = reasonOf(problem, delay)
    for (const listener of job.listeners) listener.open = false
    job.lost()
    clearTimeout(job.retry)
    if (delay !== undefined) job.retry = setTimeout(() => this.#again(job), delay)
    job.error(problem)
    this.#refresh()
  }

  /** Requests a refused job again. */
  #again(job: Job): void {
    if (this.#jobs.get(job.id) !== job || this.#link.phase !== 'up' || !job.refusal) return
    this.#subscribe(job)
  }

  #leave(job: Job, listener: Listener): void {
    if (!job.listeners.delete(listener)) return
    listener.status = { state: 'idle' }
    if (job.listeners.size === 0) {
      this.#jobs.delete(job.id)
      clearTimeout(job.retry)
      job.fallback?.stop()
      if (this.#link.phase === 'up') this.#unfollow(job.id)
      if (this.#jobs.size === 0) {
        clearTimeout(this.#lingerTimer)
        this.#lingerTimer = setTimeout(() => this.#link.shut(), this.#settings.lingerMs)
      }
    }
    this.#refresh()
  }

  #unfollow(jobId: string): void {
    this.#link.request('unsubscribe', { jobId }, () => {
      // A job that was refused because of the limit may have room now.
      for (const job of this.#jobs.values()) if (job.refusal?.code === 'SUBSCRIPTION_LIMIT_REACHED') return this.#again(job)
    })
  }

  // The connection.

  #up(recovered: boolean): void {
    for (const job of this.#jobs.values()) {
      const listeners = [...job.listeners]
      // The session continues after the events that it delivered. That is right only for listeners that received all of them.
      const kept = recovered && !job.fallback && listeners.every(({ open }) => open)
      job.fallback?.stop()
      // If the session was kept, the request changes nothing. The position is for a session that was saved without this job.
      if (kept) this.#ask(job, listeners, { since: job.least(), epoch: job.epoch })
      else {
        for (const listener of listeners) listener.open = false
        if (recovered) this.#unfollow(job.id)
        this.#subscribe(job)
      }
    }
  }

  #down(): void {
    this.#asked.clear()
    for (const job of this.#jobs.values()) job.lost()
  }

  /**
   * Starts the time limits of an attempt to connect: after one, events are fetched in another
   * way, and after another, the status is offline. A refusal starts no time limit, because a
   * full gateway must not be asked for the same events in another way.
   */
  #watchDowntime(): void {
    const { phase } = this.#link
    const trying = phase === 'connecting' || phase === 'waiting'
    if (trying === !!this.#due) return
    this.#dueTimers.forEach(clearTimeout)
    this.#due = undefined
    if (!trying) return
    const due = (this.#due = new Set())
    const { offlineAfterMs, fallback } = this.#settings
    this.#dueTimers = ([['offline', offlineAfterMs], ['fallback', fallback?.afterMs]] as const).map(([what, ms]) =>
      setTimeout(() => {
        due.add(what)
        this.#refresh()
      }, ms),
    )
  }

  #packet(name: string, payload: unknown): void {
    const jobId = (payload as { jobId?: unknown } | undefined)?.jobId
    const job = typeof jobId === 'string' ? this.#jobs.get(jobId) : undefined
    if (name === 'novel.subscribed') return this.#asked.get(jobId as string)?.shift()?.((payload as { epoch?: string }).epoch)
    if (name === 'novel.error') {
      // A refused request is handled by its answer. This error ends a subscription that had been granted.
      if (job && (payload as ErrorPayload).code === 'JOB_FORBIDDEN' && !this.#asked.get(job.id)?.length) this.#refused(job, payload as ErrorPayload)
      return
    }
    if (job) this.#deliver(job, name, payload as object)
    else if (name === 'novel.caught-up') this.#unfollow(jobId as string) // left while there was no connection
  }

  /** Delivers an event of a socket or an event stream to the job. */
  #deliver(job: Job, name: string, payload: object): void {
    if (name === 'novel.caught-up') {
      job.caughtUp(payload as CaughtUp)
      this.#refresh()
    } else if (name === 'novel.gap') {
      job.gap(payload as Gap)
      this.#refresh()
    } else if (name !== 'novel.subscribed' && name !== 'novel.unsubscribed') {
      const event = fromSocket(name, payload, this.#settings.kinds)
      received(this.#settings.opentelemetry, name, event, () => job.event(event))
    }

    if (!job.placed(name === 'novel.caught-up')) return
    if (this.#link.phase === 'up') this.#subscribe(job)
    else job.fallback?.restart()
  }

  // Status.

  /** Computes every status again, and reports those that have changed. */
  #refresh(): void {
    this.#watchDowntime()
    this.#fallBack()
    this.#link.hurry()
    for (const job of this.#jobs.values()) {
      for (const listener of job.listeners) {
        const before = listener.status
        listener.status = settle(before, this.#statusOf(job, listener))
        if (listener.status !== before) job.tell(listener, 'onStatus', listener.status)
      }
    }
    const before = this.#status
    this.#status = settle(before, this.#overall())
    if (this.#status === before) return
    for (const listener of this.#listeners) {
      try {
        listener(this.#status)
      } catch (error) {
        this.diagnose({ code: 'handler-threw', error })
      }
    }
  }

  #statusOf(job: Job, { open, caughtUp }: Listener): Status {
    if (job.refusal) return { state: 'refused', reason: job.refusal }
    const transport = this.#link.phase === 'up' && !this.#link.stale ? this.#transport() : job.via
    if (job.stale) return { state: 'reconnecting', reason: checking }
    if (!transport) return this.#unconnected()
    const state: State = !open ? 'connected' : caughtUp ? 'live' : 'catching-up'
    return { state, transport }
  }

  #transport(): Transport {
    return this.#link.socket.io.engine.transport.name as Transport
  }

  /** The status of a client without a connected socket and without a fallback. */
  #unconnected(): Status {
    const { phase, reason, stale, wasUp } = this.#link
    if (stale) return { state: 'reconnecting', reason: checking }
    let state: State = wasUp ? 'reconnecting' : 'connecting'
    if (phase === 'parked') state = 'idle'
    else if (phase === 'refused') state = phase
    else if (globalThis.navigator?.onLine === false) return { state: 'offline', reason: noNetwork }
    else if (this.#due?.has('offline')) state = 'offline'
    return { state, reason }
  }

  #overall(): Status {
    for (const state of ['connected', 'catching-up', 'live', 'reconnecting']) {
      for (const job of this.#jobs.values()) for (const { status } of job.listeners) if (status.state === state) return status
    }
    return this.#link.phase === 'up' && !this.#link.stale ? { state: 'connected', transport: this.#transport() } : this.#unconnected()
  }

  // The fallback of the socket.

  /** Checks the fallbacks, whose connections may be dead. */
  #checkFallbacks(which = (_: Job) => true): void {
    for (const job of this.#jobs.values()) if (which(job)) job.fallback?.wake()
  }

  /** Starts or ends the fallback of each job, depending on the connection. */
  #fallBack(): void {
    const { fallback } = this.#settings
    if (!fallback || !this.#due?.has('fallback')) return
    for (const job of this.#jobs.values()) {
      if (job.refusal || job.fallback) continue
      const streams = [...this.#jobs.values()].filter((other) => other.fallback?.streams).length
      job.fallback = new Fallback(job, this.#http, this.#settings, fallback, streams < fallback.maxStreams, this.#hooks)
    }
  }
}
