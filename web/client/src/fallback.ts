import { backoff } from './backoff.js'
import type { ErrorPayload } from './generated.js'
import type { Job } from './job.js'
import type { FallbackOptions, Settings } from './options.js'
import { type Http, RequestError } from './rest.js'
import { EventStreamParser } from './sse.js'

export interface FallbackHooks {
  /** An event of the stream. */
  deliver(name: string, payload: object): void
  /** `via` of the job has changed. */
  changed(): void
  /** The gateway does not serve the job; the fallback has ended. */
  refused(problem: ErrorPayload): void
}

/** A stream says something at its beginning and every 15 s; one that does not is held back on the way, or dead. In milliseconds. */
const firstByteMs = 5000
const silenceMs = 45_000
/** How long one poll may take, in milliseconds. */
const pollTimeoutMs = 10_000
const pageSize = 500

/**
 * Stands in for the socket, for one job: an event stream, or, where that does not
 * come through or there are too many, polling. Both begin where the listeners
 * are, so that going over to them and back leaves nothing out. It runs from its
 * making until {@link stop}.
 */
export class Fallback {
  #stopped = new AbortController()

  constructor(
    readonly job: Job,
    readonly http: Http,
    readonly settings: Settings,
    readonly options: Required<FallbackOptions>,
    /** Whether it is, or tries, an event stream. */
    public streams: boolean,
    readonly hooks: FallbackHooks,
  ) {
    void this.#run(this.#stopped.signal)
  }

  stop(): void {
    this.#stopped.abort()
    this.job.via = undefined
  }

  /** Begins anew where the listeners are: there is another one. */
  restart(): void {
    this.stop()
    this.#stopped = new AbortController()
    void this.#run(this.#stopped.signal)
  }

  async #run(signal: AbortSignal): Promise<void> {
    for (let failures = 0; !signal.aborted; failures++) {
      const worked = (via: 'sse' | 'rest') => {
        failures = 0
        if (this.job.via === via) return
        this.job.via = via
        this.settings.diagnose({ code: 'fallback', jobId: this.job.id, transport: via })
        this.hooks.changed()
      }
      let problem: ErrorPayload | undefined
      try {
        await (this.streams ? this.#stream(signal, worked) : this.#poll(signal, worked))
      } catch (error) {
        if (signal.aborted) return
        const { status, problem: said } = error instanceof RequestError ? error : { status: 0, problem: undefined }
        problem = said
        if (said && [400, 401, 403].includes(status)) return this.hooks.refused(said)
        // There was an answer, or a connection that brings nothing: polling may do.
        if (this.streams && (status !== 0 || error instanceof NoStreamError)) {
          this.streams = false
          continue
        }
      }
      if (signal.aborted) return
      this.job.via = undefined
      this.job.lost()
      this.hooks.changed()
      await pause(problem?.retryAfterMs ?? backoff(failures, this.settings.minMs, this.settings.maxMs), signal)
    }
  }

  /** Returns when the stream ends. */
  async #stream(signal: AbortSignal, worked: (via: 'sse') => void): Promise<void> {
    const { job } = this
    const listeners = [...job.listeners]
    const { sequence, epoch } = job.start()
    const since = sequence === undefined ? '' : `?since=${encodeURIComponent(epoch === undefined ? sequence : `${epoch}:${sequence}`)}`
    const deadline = new Deadline(signal)
    let silent = true
    try {
      deadline.in(firstByteMs)
      const response = await this.http.get(`/api/realtime/jobs/${encodeURIComponent(job.id)}/stream${since}`, deadline.signal, 'text/event-stream')
      if (!response.body || !response.headers.get('content-type')?.startsWith('text/event-stream')) throw new NoStreamError()
      const reader = response.body.getReader()
      const decoder = new TextDecoder()
      const parser = new EventStreamParser()
      for (;;) {
        const { done, value } = await reader.read()
        if (done || signal.aborted) return
        if (silent) job.opened(listeners)
        silent = false
        deadline.in(silenceMs)
        worked('sse')
        for (const { event, data } of parser.push(decoder.decode(value, { stream: true }))) {
          this.#message(event, data)
          if (signal.aborted) return // by a handler
        }
      }
    } catch (error) {
      throw silent && deadline.passed ? new NoStreamError() : error
    } finally {
      deadline.end()
    }
  }

  #message(name: string, data: string): void {
    let payload: unknown
    try {
      payload = JSON.parse(data)
    } catch {
      payload = undefined
    }
    if (payload !== null && typeof payload === 'object') this.hooks.deliver(name, payload)
    else this.settings.diagnose({ code: 'malformed', name })
  }

  async #poll(signal: AbortSignal, worked: (via: 'rest') => void): Promise<void> {
    const { job } = this
    for (;;) {
      const listeners = [...job.listeners]
      const { sequence } = job.start()
      const deadline = new Deadline(signal)
      deadline.in(pollTimeoutMs)
      const query = sequence === undefined ? {} : { since: sequence, limit: pageSize }
      const items = await this.http.page(job.id, { ...query, signal: deadline.signal }).finally(() => deadline.end())
      if (signal.aborted) return
      if (sequence === undefined) items.reverse()
      job.opened(listeners)
      worked('rest')
      for (const item of items) {
        job.event(item)
        if (signal.aborted) return
      }
      if (sequence !== undefined && items.length === pageSize) continue
      if (listeners.some(({ caughtUp }) => !caughtUp)) {
        const to = job.start().sequence ?? 0
        job.caughtUp({ jobId: job.id, from: sequence ?? job.from ?? 0, to, replayed: items.length, source: 'none' })
        this.hooks.changed()
      }
      await pause(this.options.pollMs * (0.8 + Math.random() * 0.4), signal)
      if (signal.aborted) return
    }
  }
}

/** The answer is no stream, or something on the way holds it back. */
class NoStreamError extends Error {}

/** A signal that is aborted with another one, or when time is up. */
class Deadline {
  readonly #controller = new AbortController()
  #timer: ReturnType<typeof setTimeout> | undefined
  readonly #stop = () => this.#controller.abort()
  passed = false

  constructor(readonly outer: AbortSignal) {
    outer.addEventListener('abort', this.#stop)
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Sets the time anew, in milliseconds from now. */
  in(ms: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.passed = true
      this.#stop()
    }, ms)
  }

  end(): void {
    clearTimeout(this.#timer)
    this.outer.removeEventListener('abort', this.#stop)
    this.#stop()
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
  })
}
