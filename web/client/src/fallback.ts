import type { ErrorPayload } from './generated.js'
import type { Job } from './job.js'
import type { FallbackOptions, Settings } from './options.js'
import { formatPosition, parsePosition } from './position.js'
import type { Http, RequestError } from './rest.js'
import { EventStreamParser, type Message } from './sse.js'

export interface FallbackHooks {
  /** An event of the stream. */
  deliver(job: Job, name: string, payload: object): void
  /** `via` of the job has changed. */
  changed(): void
  /** The gateway does not serve the job; the fallback has ended. */
  refused(job: Job, problem: ErrorPayload): void
}

/** A stream says something at its beginning and every 15 s; one that does not is held back on the way, or dead. In milliseconds. */
const silenceMs = 45_000
const pageSize = 500

/** How long the first answer may take after the page woke up, in milliseconds. */
const wakeMs = 3000

/** From when on what has not answered since the page woke up is shown as stale, in milliseconds. */
const doubtMs = 500

/** A stream that has lasted so long works, also when nothing happened on it, in milliseconds. */
const lastingMs = 10_000

/** By how much the time grows for which a job is polled before a stream is tried again. */
const maxPollingFactor = 15

/** How often a page is asked for that lacks events for now, before what it lacks is told as a gap. */
const maxLacking = 10

/** The longest pause between streams that a gateway may ask for, in milliseconds. */
const maxRetryMs = 60_000

/** The answer is no stream, or something on the way holds it back. */
const noStream = new Error('no stream')

/** Codes of a refusal that is for now: the gateway is full, or asked too often. */
const passing = /_EXCEEDED$|^INTERNAL$/

/**
 * Stands in for the socket, for one job: an event stream, or, where that does not
 * come through or there are too many, polling. Both begin where the listeners
 * are, so that going over to them and back leaves nothing out. It runs from its
 * making until {@link stop}.
 */
export class Fallback {
  #turn = 0 // outdates what an earlier run still waits for
  #request = new AbortController() // the one under way
  #timer: ReturnType<typeof setTimeout> | undefined // its deadline, or the pause after it
  #doubt: ReturnType<typeof setTimeout> | undefined // until it is shown as stale
  #patienceMs: number // for the first answer
  #pollUntil = 0 // when a stream may be tried again
  #pollingFactor = 1
  #failures = 0

  constructor(
    readonly job: Job,
    readonly http: Http,
    readonly settings: Settings,
    readonly options: Required<FallbackOptions>,
    /** Whether it may be an event stream. */
    readonly streams: boolean,
    readonly hooks: FallbackHooks,
  ) {
    this.#patienceMs = settings.connectTimeoutMs
    void this.#run()
  }

  stop(): void {
    this.#halt()
    this.#carries(undefined)
    this.job.fallback = undefined
  }

  /** Begins anew where the listeners are: there is another one. */
  restart(): void {
    this.#halt()
    void this.#run()
  }

  /** The page has woken up: what is open may be dead, so it is asked for again. */
  wake(): void {
    this.#failures = 0
    this.#patienceMs = Math.min(wakeMs, this.settings.connectTimeoutMs)
    clearTimeout(this.#doubt)
    if (this.job.via) {
      this.#doubt = setTimeout(() => {
        this.job.stale = true
        this.hooks.changed()
      }, doubtMs)
    }
    this.restart()
  }

  /** What the job comes by from now on; that ends every doubt. Reports whether this is a change. */
  #carries(via: Job['via']): boolean {
    clearTimeout(this.#doubt)
    const { job } = this
    const changed = job.via !== via || job.stale
    job.via = via
    job.stale = false
    return changed
  }

  #halt(): void {
    this.#turn++
    clearTimeout(this.#timer)
    this.#request.abort()
  }

  /** Gives the request under way that many milliseconds from now. */
  #within(ms: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#request.abort(), ms)
  }

  /** Never ends when the run is halted. */
  #pause(ms: number): Promise<void> {
    clearTimeout(this.#timer)
    return new Promise((resolve) => {
      this.#timer = setTimeout(resolve, ms)
    })
  }

  async #run(): Promise<void> {
    const turn = this.#turn
    const over = () => turn !== this.#turn
    for (; ; this.#failures++) {
      let advised = 0
      const streaming = this.streams && Date.now() >= this.#pollUntil
      try {
        if (streaming) advised = await this.#stream(over)
        else if (await this.#poll(over)) continue
      } catch (error) {
        if (over()) return
        const { status = 0, problem } = error as Partial<RequestError>
        if (problem && !passing.test(problem.code) && [200, 400, 401, 403].includes(status)) {
          this.#carries(undefined)
          return this.hooks.refused(this.job, problem)
        }
        // There was an answer, or a connection that brings nothing: polling may do.
        if (streaming && !passing.test(problem?.code ?? '') && (status !== 0 || error === noStream)) {
          this.#pollUntil = Date.now() + this.options.streamPauseMs * this.#pollingFactor
          this.#pollingFactor = Math.min(maxPollingFactor, 2 * this.#pollingFactor)
          continue
        }
        advised = problem?.retryAfterMs ?? 0
      }
      if (over()) return
      this.#carries(undefined)
      this.job.lost()
      this.hooks.changed()
      await this.#pause(Math.max(advised, this.settings.backoff(this.#failures)))
    }
  }

  /** Events come through. */
  #worked(via: 'sse' | 'rest'): void {
    this.#patienceMs = this.settings.connectTimeoutMs
    this.job.refusal = undefined
    const another = this.job.via !== via
    if (!this.#carries(via)) return
    if (another) this.settings.diagnose({ code: 'fallback', jobId: this.job.id, transport: via })
    this.hooks.changed()
  }

  /** Fetches with a deadline for the beginning of the answer. */
  #get<T>(fetch: (signal: AbortSignal) => Promise<T>): Promise<T> {
    this.#request.abort()
    this.#request = new AbortController()
    this.#within(this.#patienceMs)
    return fetch(this.#request.signal)
  }

  /** Returns when the stream ends, with the pause that the gateway asks for, in milliseconds. */
  async #stream(over: () => boolean): Promise<number> {
    const { job } = this
    const { listeners, since, epoch } = job.next()
    const path = this.http.pathOf(job.id, (id) => `/api/realtime/jobs/${id}/stream`, '/api/realtime/stream', {
      since: formatPosition({ sequence: since, epoch }),
    })
    const patient = this.#patienceMs >= this.settings.connectTimeoutMs
    const parser = new EventStreamParser()
    const began = Date.now()
    let silent = true
    try {
      const { body, headers } = await this.#get((signal) => this.http.get(path, signal))
      if (!body || !headers.get('content-type')?.startsWith('text/event-stream')) throw noStream
      const reader = body.getReader()
      const decoder = new TextDecoder()
      for (;;) {
        const { done, value } = await reader.read()
        if (done || over()) break
        const messages = parser.push(decoder.decode(value, { stream: true }))
        // A refusal is a stream too, which has only a retry and an error. It does not count as working.
        if (silent && (parser.commented || messages.some(({ event }) => event !== 'novel.error'))) {
          silent = false
          job.opened(listeners)
          this.#pollingFactor = 1
          this.#worked('sse')
        }
        if (!silent) this.#within(silenceMs)
        for (const message of messages) {
          this.#message(message)
          if (over()) return 0 // by a handler
          if (job.least() !== since) this.#failures = 0
        }
      }
    } catch (error) {
      throw silent && patient && this.#request.signal.aborted ? noStream : error
    } finally {
      if (Date.now() - began > lastingMs) this.#failures = 0
    }
    return Math.min(parser.retryMs ?? 0, maxRetryMs)
  }

  /** @throws RequestError for a refusal that the stream tells. */
  #message({ event, data, id }: Message): void {
    const { job } = this
    const { epoch, sequence } = (id && parsePosition(id)) || {}
    let payload: object
    try {
      payload = JSON.parse(data) as object
      if (typeof payload !== 'object' || payload === null) throw new TypeError('no object')
    } catch (error) {
      this.settings.diagnose({ code: 'unreadable-event', jobId: job.id, name: event, position: id, error })
      if (sequence !== undefined) job.passOver(sequence)
      return
    }
    if (event === 'novel.error') {
      const problem = payload as ErrorPayload
      // The next request brings a new token.
      if (!problem.code?.startsWith('TOKEN_')) throw Object.assign(new Error(problem.message), { status: 200, problem })
    } else {
      if (epoch !== undefined) job.inEpoch(epoch)
      this.hooks.deliver(job, event, payload)
    }
  }

  #pollMs(): number {
    return this.options.pollMs * (0.8 + Math.random() * 0.4)
  }

  /** Returns true when a stream may be tried again. */
  async #poll(over: () => boolean): Promise<boolean> {
    const { job } = this
    for (let lacking = 0; ; ) {
      const { listeners, since, epoch } = job.next()
      const limit = since === undefined ? since : pageSize
      const { events, ...page } = await this.#get((signal) => this.http.page(job.id, { since: formatPosition({ sequence: since, epoch }), limit, signal }))
      if (over()) return false
      if (since === undefined) events.reverse()
      job.opened(listeners)
      if (page.gap) job.gap(page.gap)
      const another = page.epoch !== undefined && job.inEpoch(page.epoch, true)
      this.#failures = 0
      this.#worked('rest')
      if (since !== undefined && (another || page.gap?.reason === 'epoch-changed')) continue // the newest events are asked for
      if (page.incomplete) {
        this.settings.diagnose({ code: 'incomplete', jobId: job.id })
        if (since !== undefined) {
          if (lacking++ < maxLacking) {
            await this.#pause(this.#pollMs())
            continue
          }
          job.gap({ jobId: job.id, requested: since, firstAvailable: events[0]?.sequence ?? since + 1, reason: 'retention' })
        }
      }
      lacking = 0
      for (const event of events) {
        job.event(event)
        if (over()) return false
      }
      if (events.length === limit) continue
      if (listeners.some(({ caughtUp }) => !caughtUp)) {
        const from = since ?? job.from ?? 0
        job.caughtUp({ jobId: job.id, from, to: events.at(-1)?.sequence ?? from, replayed: events.length, source: 'none' })
        this.hooks.changed()
      }
      if (job.placed(true)) continue
      await this.#pause(this.#pollMs())
      if (this.streams && Date.now() >= this.#pollUntil) return true
    }
  }
}
