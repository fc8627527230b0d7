import type { RejectionReason } from './errors.js'
import type { HttpSettings } from './options.js'
import { isReceipt, type Receipt } from './receipt.js'

/** The answer of a gateway, or the failure to get one. */
export type Answer =
  | { receipt: Receipt }
  | { rejected: RejectionReason; detail: string }
  /** Try again, after `retryAfterMs` (0: at the caller's pace). */
  | { failed: Error; retryAfterMs: number }

/** The codes that concern the event itself, and are final. */
const refusals: ReadonlySet<unknown> = new Set<RejectionReason>([
  'invalid-json', 'schema-violation', 'unsupported-version', 'unknown-kind', 'too-large', 'id-conflict',
])

/** Publishes single events with `POST /api/realtime/events`. */
export class HttpLink {
  readonly #settings: HttpSettings
  readonly #url: string
  readonly #closing = new AbortController()

  constructor(settings: HttpSettings) {
    this.#settings = settings
    this.#url = `${settings.url.replace(/\/+$/, '')}/api/realtime/events`
  }

  /** Sends one event. It never rejects. */
  async send(body: string): Promise<Answer> {
    const { token, timeoutMs } = this.#settings
    try {
      const response = await fetch(this.#url, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', ...(token ? { Authorization: `Bearer ${token}` } : {}) },
        body,
        signal: AbortSignal.any([this.#closing.signal, AbortSignal.timeout(timeoutMs)]),
      })
      return read(response.status, await response.text(), response.headers.get('Retry-After'))
    } catch (error) {
      return { failed: new Error('publish over HTTP', { cause: error }), retryAfterMs: 0 }
    }
  }

  /** Ends the requests in progress. */
  close(): void {
    this.#closing.abort()
  }
}

function read(status: number, text: string, retryAfter: string | null): Answer {
  let answer: { code?: unknown; message?: unknown } = {}
  try {
    answer = Object(JSON.parse(text))
  } catch {
    // A proxy's page, or the plain text of 401 and 403.
  }
  if ((status === 200 || status === 201) && isReceipt(answer)) {
    const { id, jobId, sequence, duplicate } = answer
    return { receipt: { id, jobId, sequence, duplicate } }
  }
  if (status >= 400 && status < 500 && refusals.has(answer.code)) {
    return { rejected: answer.code as RejectionReason, detail: String(answer.message) }
  }
  const seconds = Number.parseInt(retryAfter ?? '', 10)
  return {
    failed: new Error(`publish over HTTP: the gateway answered ${status} ${String(answer.code ?? '')}`.trimEnd()),
    retryAfterMs: seconds > 0 ? Math.min(seconds, 60) * 1000 : 0,
  }
}
