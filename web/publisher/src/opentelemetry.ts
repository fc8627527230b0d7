import { createRequire } from 'node:module'
import { eventsChannel } from './envelope.js'
import type { Receipt } from './receipt.js'

/** The part of `@opentelemetry/api` that is used. */
interface OpenTelemetry {
  trace: { getTracer(name: string): { startSpan(name: string, options: object): Span } }
}

interface Span {
  spanContext(): { traceId: string; spanId: string; traceFlags: number }
  setAttribute(name: string, value: string | number | boolean): unknown
  setStatus(status: { code: number; message?: string }): unknown
  end(): void
}

/** SpanKind.PRODUCER and SpanStatusCode.ERROR of `@opentelemetry/api`. */
const producer = 3
const failed = 2

/** The application's OpenTelemetry; undefined if it has none. */
const openTelemetry = find()

function find(): OpenTelemetry | undefined {
  try {
    return createRequire(import.meta.url)('@opentelemetry/api') as OpenTelemetry
  } catch {
    return undefined
  }
}

/** The span of one event, from its publication to its receipt. */
export interface Publication {
  /** The W3C trace context of the span; undefined if the application does not trace. */
  readonly traceparent: string | undefined
  /** Ends the span with the outcome of the event. */
  follow(outcome: Promise<Receipt>): void
  /** Ends the span of an event that was not accepted. */
  fail(error: unknown): void
}

/** Begins the span of an event, as a child of the active span. It does nothing if the application has no OpenTelemetry. */
export function begin(jobId: string, kind: string): Publication | undefined {
  const span = openTelemetry?.trace.getTracer('@letswriteabook/realtime-publisher').startSpan(`send ${eventsChannel}`, {
    kind: producer,
    attributes: {
      'messaging.system': 'redis', 'messaging.destination.name': eventsChannel, 'messaging.operation.type': 'send',
      'messaging.operation.name': 'send', 'realtime.job.id': jobId, 'realtime.kind': kind,
    },
  })
  if (!span) return undefined
  const { traceId, spanId, traceFlags } = span.spanContext()
  const fail = (error: unknown) => {
    span.setStatus({ code: failed, message: error instanceof Error ? error.message : String(error) })
    span.end()
  }
  return {
    traceparent: /^0+$/.test(traceId) ? undefined : `00-${traceId}-${spanId}-0${traceFlags & 1}`,
    follow: (outcome) => {
      outcome.then(({ sequence, duplicate }) => {
        span.setAttribute('realtime.sequence', sequence)
        span.setAttribute('realtime.duplicate', duplicate)
        span.end()
      }, fail)
    },
    fail,
  }
}
