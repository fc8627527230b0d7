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
class NoStreamError extends Error {}

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
    readonly options: Required<FallbackOptions>,
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
        if (this.streams && (status !== 0 || error instanceof NoStreamError)) {
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
    const listeners = [...job.listeners]
    const { sequence, epoch } = job.start()
    const since = sequence === undefined ? '' : `?since=${encodeURIComponent(epoch === undefined ? sequence : `${epoch}:${sequence}`)}`
    const path = `/api/realtime/jobs/${encodeURIComponent(job.id)}/stream${since}`
    let silent = true
    try {
      const { body, headers } = await this.#get((signal) => this.http.get(path, signal))
      if (!body || !headers.get('content-type')?.startsWith('text/event-stream')) throw new NoStreamError()
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
          this.#message(event, data)
          if (over()) return // by a handler
        }
      }
    } catch (error) {
      throw silent && this.#request.signal.aborted ? new NoStreamError() : error
    }
  }

  #message(name: string, data: string): void {
    let payload: unknown
    try {
      payload = JSON.parse(data)
    } catch {
      // told below
    }
    if (payload && typeof payload === 'object') this.hooks.deliver(this.job, name, payload)
    else this.settings.diagnose({ code: 'malformed', name })
  }

  async #poll(over: () => boolean, worked: (via: 'rest') => void): Promise<void> {
    const { job } = this
    for (;;) {
      const listeners = [...job.listeners]
      const { sequence } = job.start()
      const limit = sequence === undefined ? sequence : pageSize
      const items = await this.#get((signal) => this.http.page(job.id, { since: sequence, limit, signal }))
      if (over()) return
      if (sequence === undefined) items.reverse()
      job.opened(listeners)
      worked('rest')
      for (const item of items) {
        job.event(item)
        if (over()) return
      }
      if (items.length === limit) continue
      if (listeners.some(({ caughtUp }) => !caughtUp)) {
        const to = job.start().sequence ?? 0
        job.caughtUp({ jobId: job.id, from: sequence ?? job.from ?? 0, to, replayed: items.length, source: 'none' })
        this.hooks.changed()
      }
      await this.#pause(this.options.pollMs * (0.8 + Math.random() * 0.4))
    }
  }
}
