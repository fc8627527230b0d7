import type { JobEvent } from './contract.js'
import { fromItem } from './contract.js'
import type { ErrorPayload } from './generated.js'
import type { Settings } from './options.js'
import type { Tokens } from './token.js'

/** What to fetch of a job's events. */
export interface PageQuery {
  /** 1 to 1000; the gateway has a default, usually 250. */
  limit?: number | undefined
  /** A sequence, or an RFC 3339 time: only events before it. */
  before?: number | string | undefined
  /** A sequence: the events that follow it, oldest first. An RFC 3339 time: only events after it. */
  since?: number | string | undefined
  signal?: AbortSignal | undefined
}

/** A request that the gateway refused, or that did not reach it; then `problem` is undefined. */
export class RequestError extends Error {
  override readonly name = 'RequestError'
  constructor(
    message: string,
    /** HTTP status; 0 when there was no answer. */
    readonly status: number,
    /** What the gateway said. */
    readonly problem?: ErrorPayload,
  ) {
    super(message)
  }
}

/** Requests to the gateway over HTTP, with the token in use. */
export class Http {
  constructor(
    readonly settings: Settings,
    readonly tokens: Tokens,
  ) {}

  /** @throws RequestError for any answer but 2xx, and for none. */
  async get(path: string, signal?: AbortSignal): Promise<Response> {
    for (let renewed = false; ; renewed = true) {
      const token = await this.tokens.current()
      const headers: Record<string, string> = token ? { Authorization: `Bearer ${token}` } : {}
      let response: Response
      try {
        response = await fetch(this.settings.base + path, { headers, cache: 'no-store', signal: signal ?? null })
      } catch {
        throw new RequestError('The gateway cannot be reached.', 0)
      }
      if (response.ok) return response
      const problem = (await response.json().catch(() => undefined)) as ErrorPayload | undefined
      if (response.status !== 401 || renewed || !this.tokens.renewable) {
        throw new RequestError(problem?.message ?? `HTTP ${response.status}`, response.status, problem)
      }
      await this.tokens.renew({ code: 'TOKEN_EXPIRED' })
    }
  }

  /** One page of a job's events, as the gateway orders it: the newest first, unless `since` is a sequence. */
  async page(jobId: string, { signal, ...query }: PageQuery = {}): Promise<JobEvent[]> {
    const parameters = new URLSearchParams(JSON.parse(JSON.stringify(query)) as Record<string, string>) // without what is undefined
    const path = `/api/novel/${encodeURIComponent(jobId)}/events?${parameters}`
    const { items } = (await (await this.get(path, signal)).json()) as { items: { kind: string }[] }
    return items.map(fromItem)
  }
}
