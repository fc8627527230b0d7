import type { JobEvent } from './contract.js'
import { fromItem } from './contract.js'
import type { ErrorPayload, Gap } from './generated.js'
import type { Settings } from './options.js'
import { formatPosition, parsePosition } from './position.js'
import type { Tokens } from './token.js'

/** What to fetch of a job's events. */
export interface PageQuery {
  /** The most events, 1 to 1000; the default of the gateway is usually 250. */
  limit?: number | undefined
  /** A position (`EPOCH:SEQUENCE`), a sequence, or an RFC 3339 time: only events before it. */
  before?: number | string | undefined
  /** A position or a sequence: the events that follow it, oldest first. An RFC 3339 time: only events after it. */
  since?: number | string | undefined
  signal?: AbortSignal | undefined
}

/** One page of a job's events. */
export interface Page {
  /** The newest first, or the oldest first when `since` of the query was a position. */
  events: JobEvent[]
  /** The epoch of the events' sequences; absent if the gateway does not send it. */
  epoch: string | undefined
  /** The position at which to continue: `since` of a later page or subscription. Undefined if the job has no events yet. */
  position: string | undefined
  /** The part after `since` that no longer exists. */
  gap: Gap | undefined
  /** The page may lack events, because MongoDB does not answer the gateway. Repeat the request later. */
  incomplete: boolean
}

/** A request that the gateway refused, or that did not reach it; then `problem` is undefined. */
export class RequestError extends Error {
  override readonly name = 'RequestError'
  constructor(
    message: string,
    /** HTTP status; 0 if there was no answer. */
    readonly status: number,
    /** The error in the gateway's answer. */
    readonly problem?: ErrorPayload,
  ) {
    super(message)
  }
}

/** How long the body of a page may take, in milliseconds. */
const bodyMs = 60_000

/** The longest `retryAfterMs` of the gateway that the client follows, in milliseconds. */
export const maxAdviceMs = 300_000

/** jobIds that are the same in every URL. `.` and `..` are not, and some proxies decode `%2F`. */
const plain = /^[\w~-][\w.~-]*$/

/** Requests to the gateway over HTTP, with the token in use. */
export class Http {
  constructor(
    readonly settings: Settings,
    readonly tokens: Tokens,
  ) {}

  /** The path and query of a request about a job. `named` is the path of a plain jobId, `query` that of any other, which goes into the query. */
  pathOf(jobId: string, named: (jobId: string) => string, query: string, parameters: object): string {
    const all = parametersOf(parameters)
    const inPath = plain.test(jobId)
    if (!inPath) all.set('jobId', wellFormed(jobId))
    return `${inPath ? named(jobId) : query}?${all}`.replace(/\?$/, '')
  }

  /**
   * Sends a request, with a deadline for the token and the beginning of the answer.
   * The rest of the answer ends when the signal is aborted.
   *
   * @throws RequestError for every answer except 2xx, and if there is no answer.
   */
  async get(path: string, signal: AbortSignal): Promise<Response> {
    const request = new AbortController()
    const abort = () => request.abort(signal.reason)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort)
    const deadline = setTimeout(() => request.abort(new Error('no answer in time')), this.settings.connectTimeoutMs)
    try {
      return await this.#send(path, request.signal)
    } catch (error) {
      signal.removeEventListener('abort', abort)
      throw error
    } finally {
      clearTimeout(deadline)
    }
  }

  async #send(path: string, signal: AbortSignal): Promise<Response> {
    for (let renewed = false; ; renewed = true) {
      const token = await this.tokens.current(signal)
      const headers: Record<string, string> = token ? { Authorization: `Bearer ${token}` } : {}
      let response: Response
      try {
        response = await fetch(this.settings.base + path, { headers, cache: 'no-store', signal })
      } catch {
        throw new RequestError('The gateway cannot be reached.', 0)
      }
      if (response.ok) return response
      const problem = await problemOf(response)
      if (response.status !== 401 || renewed || !this.tokens.renewable) {
        throw new RequestError(problem?.message ?? `HTTP ${response.status}`, response.status, problem)
      }
      await this.tokens.renew({ code: 'TOKEN_EXPIRED' }, signal)
    }
  }

  /** One page of a job's events, in the gateway's order. */
  async page(jobId: string, { signal, ...query }: PageQuery = {}): Promise<Page> {
    const request = new AbortController()
    const abort = () => request.abort(signal?.reason)
    if (signal?.aborted) abort()
    signal?.addEventListener('abort', abort)
    let deadline: ReturnType<typeof setTimeout> | undefined
    try {
      const response = await this.#getPage(jobId, query, request.signal)
      deadline = setTimeout(() => request.abort(), bodyMs)
      return pageOf(await response.json(), query.since)
    } finally {
      clearTimeout(deadline)
      signal?.removeEventListener('abort', abort)
    }
  }

  /** Requests a page. Repeats the request in the older form if the gateway does not have the forms with `jobId` and `EPOCH:SEQUENCE` in the query. */
  async #getPage(jobId: string, query: PageQuery, signal: AbortSignal): Promise<Response> {
    const named = (id: string) => `/api/novel/${encodeURIComponent(id)}/events`
    try {
      return await this.get(this.pathOf(jobId, named, '/api/novel/events', query), signal)
    } catch (error) {
      const { status, problem } = error as Partial<RequestError>
      const sequence = parsePosition(`${query.since}`)?.sequence
      const old = (status === 404 && !problem) || (status === 400 && problem?.code === ('INVALID_QUERY' as string) && `${query.since}` !== `${sequence}`)
      if (!old) throw error
      return this.get(`${named(jobId)}?${parametersOf({ ...query, since: sequence ?? query.since })}`, signal)
    }
  }
}

/** The parameters that are not undefined. */
function parametersOf(parameters: object): URLSearchParams {
  return new URLSearchParams(JSON.parse(JSON.stringify(parameters)) as Record<string, string>)
}

/** The wire format of a page. */
interface WirePage {
  items: { kind: string; sequence?: number }[]
  epoch?: string
  position?: string
  gap?: Gap
  incomplete?: boolean
}

function pageOf({ items, epoch, position, gap, incomplete }: WirePage, since: PageQuery['since']): Page {
  const events = items.map(fromItem)
  const asked = since === undefined ? undefined : parsePosition(`${since}`)?.sequence
  const newest = events.reduce((most, { sequence = 0 }) => Math.max(most, sequence), asked ?? -1)
  return {
    events, epoch, gap, incomplete: incomplete === true,
    position: position ?? formatPosition({ sequence: newest < 0 ? undefined : newest, epoch }),
  }
}

/** The gateway's error for a refusal, with `retryAfterMs` bounded. */
async function problemOf(response: Response): Promise<ErrorPayload | undefined> {
  const problem = (await response.json().catch(() => undefined)) as ErrorPayload | undefined
  if (typeof problem?.code !== 'string') return undefined
  const seconds = Number(response.headers.get('Retry-After') ?? NaN)
  const advice = problem.retryAfterMs ?? (seconds > 0 ? seconds * 1000 : undefined)
  return advice === undefined ? problem : { ...problem, retryAfterMs: Math.min(advice, maxAdviceMs) }
}

/** Refuses half of a surrogate pair: a URL cannot contain one, and would name another job instead. */
function wellFormed(jobId: string): string {
  try {
    encodeURIComponent(jobId)
  } catch {
    const message = 'The jobId is not valid Unicode.'
    throw new RequestError(message, 400, { code: 'JOB_ID_INVALID', message })
  }
  return jobId
}
