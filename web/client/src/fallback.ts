import type { ErrorPayload } from './generated.js'
import type { Job } from './job.js'
import type { FallbackOptions, Settings } from './options.js'
import type { Http, RequestError } from './rest.js'
import { EventStreamParser } from './sse.js'

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

/** The answer is no stream, or something on the way holds it back. */
const noStream = new Error('no stream')

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

  constructor(
    readonly job: Job,
    readonly http: Http,
    readonly settings: Settings,
    /** Whether it is, or tries, an event stream. */
    public streams: boolean,
    readonly hooks: FallbackHooks,
  ) {
    void this.#run()
  }

  stop(): void {
    this.#halt()
    this.job.via = this.job.fallback = undefined
  }

  /** Begins anew where the listeners are: there is another one. */
  restart(): void {
    this.#halt()
    void this.#run()
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
    for (let failures = 0; ; failures++) {
      const worked = (via: 'sse' | 'rest') => {
        failures = 0
        if (this.job.via === via) return
        this.job.via = via
        this.settings.diagnose({ code: 'fallback', jobId: this.job.id, transport: via })
        this.hooks.changed()
      }
      let advised: number | undefined
      try {
        await (this.streams ? this.#stream(over, worked) : this.#poll(over, worked))
      } catch (error) {
        if (over()) return
        const { status = 0, problem } = error as Partial<RequestError>
        if (problem && [400, 401, 403].includes(status)) return this.hooks.refused(this.job, problem)
        // There was an answer, or a connection that brings nothing: polling may do.
        if (this.streams && (status !== 0 || error === noStream)) {
          this.streams = false
          continue
        }
        advised = problem?.retryAfterMs
      }
      if (over()) return
      this.job.via = undefined
      this.job.lost()
      this.hooks.changed()
      await this.#pause(advised ?? this.settings.backoff(failures))
    }
  }

  /** Fetches with a deadline for the beginning of the answer. */
  #get<T>(fetch: (signal: AbortSignal) => Promise<T>): Promise<T> {
    this.#request.abort()
    this.#request = new AbortController()
    this.#within(this.settings.connectTimeoutMs)
    return fetch(this.#request.signal)
  }

  /** Returns when the stream ends. */
  async #stream(over: () => boolean, worked: (via: 'sse') => void): Promise<void> {
    const { job } = this
    const { listeners, since, epoch } = job.next()
    const from = since === undefined ? '' : `?since=${epoch ? `${epoch}:` : ''}${since}`
    const path = `/api/realtime/jobs/${encodeURIComponent(job.id)}/stream${from}`
    let silent = true
    try {
      const { body, headers } = await this.#get((signal) => this.http.get(path, signal))
      if (!body || !headers.get('content-type')?.startsWith('text/event-stream')) throw noStream
      const reader = body.getReader()
      const decoder = new TextDecoder()
      const parser = new EventStreamParser()
      for (;;) {
        const { done, value } = await reader.read()
        if (done || over()) return
        if (silent) job.opened(listeners)
        silent = false
        this.#within(silenceMs)
        worked('sse')
        for (const { event, data } of parser.push(decoder.decode(value, { stream: true }))) {
          this.hooks.deliver(job, event, JSON.parse(data))
          if (over()) return // by a handler
        }
      }
    } catch (error) {
      throw silent && this.#request.signal.aborted ? noStream : error
    }
  }

  async #poll(over: () => boolean, worked: (via: 'rest') => void): Promise<void> {
    const { job } = this
    for (;;) {
      const { listeners, since } = job.next()
      const limit = since === undefined ? since : pageSize
      const items = await this.#get((signal) => this.http.page(job.id, { since, limit, signal }))
      if (over()) return
      if (since === undefined) items.reverse()
      job.opened(listeners)
      worked('rest')
      for (const item of items) {
        job.event(item)
        if (over()) return
      }
      if (items.length === limit) continue
      if (listeners.some(({ caughtUp }) => !caughtUp)) {
        const from = since ?? job.from ?? 0
        job.caughtUp({ jobId: job.id, from, to: items.at(-1)?.sequence ?? from, replayed: items.length, source: 'none' })
        this.hooks.changed()
      }
      if (job.placed(true)) continue
      await this.#pause((this.settings.fallback as Required<FallbackOptions>).pollMs * (0.8 + Math.random() * 0.4))
    }
  }
}
