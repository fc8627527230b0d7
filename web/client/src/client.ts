import { fromSocket, type JobEvent, type RealtimeSocket } from './contract.js'
import { Fallback, type FallbackHooks } from './fallback.js'
import type { CaughtUp, ErrorPayload, Gap } from './generated.js'
import { Job, type JobHandlers, Listener, positionOf } from './job.js'
import { Link } from './link.js'
import { complete, type Diagnostic, type RealtimeOptions, type Settings } from './options.js'
import type { Position } from './position.js'
import { Http, maxAdviceMs, type Page, type PageQuery } from './rest.js'
import { checking, noNetwork, reasonOf, type State, type Status, settle, type Transport } from './status.js'
import { Tokens } from './token.js'

/** One subscriber's hold on a job. */
export interface Subscription {
  readonly jobId: string
  readonly status: Status
  /** Where it is, in two parts. */
  readonly position: Position
  /** Where it is in one string, `EPOCH:SEQUENCE`: what `since` of a later subscription takes to go on. Undefined before the first event, and while the epoch is unknown. */
  readonly cursor: string | undefined
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
  /** Tells `onDiagnostic`: for what is built on this client, such as the hooks. */
  readonly diagnose: (diagnostic: Diagnostic) => void
  readonly #settings: Settings
  readonly #link: Link
  readonly #http: Http
  readonly #jobs = new Map<string, Job>()
  /** Requests that the server has not answered yet, for each job in their order: what to do when one is granted. */
  readonly #asked = new Map<string, ((epoch: string | undefined) => void)[]>()
  readonly #listeners = new Set<(status: Status) => void>()
  readonly #hooks: FallbackHooks = {
    deliver: (job, name, payload) => this.#deliver(job, name, payload),
    changed: () => this.#refresh(),
    refused: (job, problem) => this.#refused(job, problem),
  }
  #status: Status = { state: 'idle' }
  /** While a connection is tried for: what that has lasted long enough for. */
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
    const listener = new Listener(handlers)
    let job = this.#jobs.get(jobId)
    if (!job) this.#jobs.set(jobId, (job = new Job(jobId, this.diagnose)))
    const followed = job
    clearTimeout(this.#lingerTimer)
    this.#link.open()
    job.listeners.add(listener)
    listener.status = this.#statusOf(job, listener) // not told: the caller can read it
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

  /** The same with what the gateway says about the page: its epoch and position, gaps, whether it is complete. */
  page(jobId: string, query?: PageQuery): Promise<Page> {
    return this.#http.page(jobId, query)
  }

  /**
   * Begins a fresh attempt now, in the place of one that is under way: for a button,
   * or for an app that comes to the foreground. After a refusal it also tries what
   * would not be tried again. A connection that is there is checked, and so is what stands in for it.
   */
  retry(): void {
    this.#checkFallbacks()
    this.#link.retry()
    for (const job of this.#jobs.values()) if (job.refusal) this.#again(job)
  }

  /** Ends every subscription and the connection. The client is of no use after that. */
  close(): void {
    this.#closed = true
    for (const job of this.#jobs.values()) for (const listener of job.listeners) this.#leave(job, listener)
    clearTimeout(this.#lingerTimer)
    this.#link.shut()
  }

  // Subscriptions.

  /** There is one more listener, in the middle of a connection. */
  #join(job: Job, listener: Listener): void {
    const { fresh } = job
    if (!fresh) this.#subscribe(job)
    else if (listener.cursor !== undefined) job.waiting = true
    else {
      fresh.listeners.push(listener)
      if (fresh.granted) job.opened([listener])
    }
  }

  /** Asks the server for a job, from where its listeners are. */
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
      if (request !== job.requests) return // what it brings begins too late for those who were added since
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

  /** The server does not follow this job for us. */
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
      // There is room for one that had none.
      for (const job of this.#jobs.values()) if (job.refusal?.code === 'SUBSCRIPTION_LIMIT_REACHED') return this.#again(job)
    })
  }

  // The connection.

  #up(recovered: boolean): void {
    for (const job of this.#jobs.values()) {
      const listeners = [...job.listeners]
      // The session goes on after what it delivered: right for those who had all of that, and for nobody else.
      const kept = recovered && !job.fallback && listeners.every(({ open }) => open)
      job.fallback?.stop()
      // To one that is kept the answer is only where it stands; the position is for a session that was saved without it.
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
   * While a connection is tried for: after a while events are fetched in another
   * way, and after another it is called offline. A refusal is no such time: a
   * gateway that is full is not asked for the same in another way.
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
      // Requests learn it from their answers; this one ends what had been granted.
      if (job && (payload as ErrorPayload).code === 'JOB_FORBIDDEN' && !this.#asked.get(job.id)?.length) this.#refused(job, payload as ErrorPayload)
      return
    }
    if (job) this.#deliver(job, name, payload as object)
    else if (name === 'novel.caught-up') this.#unfollow(jobId as string) // left while there was no connection
  }

  /** Hands on what a socket or an event stream has brought. */
  #deliver(job: Job, name: string, payload: object): void {
    if (name === 'novel.caught-up') {
      job.caughtUp(payload as CaughtUp)
      this.#refresh()
    } else if (name === 'novel.gap') {
      job.gap(payload as Gap)
      this.#refresh()
    } else if (name !== 'novel.subscribed' && name !== 'novel.unsubscribed') job.event(fromSocket(name, payload, this.#settings.kinds))

    if (!job.placed(name === 'novel.caught-up')) return
    if (this.#link.phase === 'up') this.#subscribe(job)
    else job.fallback?.restart()
  }

  // Status.

  /** Works out anew how everything stands, and tells what has changed. */
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

  /** How a client stands whose socket is not connected, and for whom nothing stands in. */
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

  // What stands in for the socket.

  /** Checks what is open: it may be dead. */
  #checkFallbacks(which = (_: Job) => true): void {
    for (const job of this.#jobs.values()) if (which(job)) job.fallback?.wake()
  }

  /** Starts or ends the fallback of each job, as the connection has it. */
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
