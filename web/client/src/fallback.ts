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

/** A stream sends something at its beginning and every 15 s. A stream that is silent for longer than this is buffered on the way, or dead. In milliseconds. */
const silenceMs = 45_000
const pageSize = 500

/** How long the first answer may take after the page woke up, in milliseconds. */
const wakeMs = 3000

/** After what time a transport that has not answered since the page woke up is shown as stale, in milliseconds. */
const doubtMs = 500

/** A stream that has lasted so long works, even without events, in milliseconds. */
const lastingMs = 10_000

/** The factor by which the time of polling grows before a stream is tried again. */
const maxPollingFactor = 15

/** How often a page that temporarily lacks events is requested, before the missing events are reported as a gap. */
const maxLacking = 10

/** The longest pause between streams that the client accepts from a gateway, in milliseconds. */
const maxRetryMs = 60_000

/** The answer is not a stream, or is buffered on the way. */
const noStream = new Error('no stream')

/** Codes of a temporary refusal: the gateway is full, or gets too many requests. */
const passing = /_EXCEEDED$|^INTERNAL$/

/**
 * The fallback of the socket, for one job: an event stream, or polling if streams
 * do not work or there are too many of them. Both begin at the position of the listeners,
 * so that no event is lost when the transport changes. It runs from its
 * creation until {@link stop}.
 */
export class Fallback {
  #turn = 0 // tells an earlier run, which still waits, that it is over
  #request = new AbortController() // the present one
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

  /** Begins again at the position of the listeners, because one was added. */
  restart(): void {
    this.#halt()
    void this.#run()
  }

  /** Requests everything again after the page woke up, because an open request may be dead. */
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

  /** Sets the transport of the job, which is then not stale. Reports whether this is a change. */
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

  /** Sets the deadline of the present request to that many milliseconds from now. */
  #within(ms: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#request.abort(), ms)
  }

  /** Waits; the promise never resolves if the run is stopped. */
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
        // There was an answer, or a connection without data: polling may work.
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

  /** Notes that the transport works. */
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
      since: formatPosition({ sequence: since, epoch }), traces: this.settings.opentelemetry && 'true',
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
        // A refusal is a stream too, with only a retry and an error. Such a stream does not count as working.
        if (silent && (parser.commented || messages.some(({ event }) => event !== 'novel.error'))) {
          silent = false
          job.opened(listeners)
          this.#pollingFactor = 1
          this.#worked('sse')
        }
        if (!silent) this.#within(silenceMs)
        for (const message of messages) {
          this.#message(message)
          if (over()) return 0 // a handler has ended it
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

  /** @throws RequestError for a refusal in the stream. */
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
      // The next request sends a new token.
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
      if (since !== undefined && (another || page.gap?.reason === 'epoch-changed')) continue // the newest events are requested
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
