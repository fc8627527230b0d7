import type { JobEvent } from './contract.js'

/**
 * The part of `@opentelemetry/api` that the client uses. Pass the package itself:
 * `import * as opentelemetry from '@opentelemetry/api'`.
 */
export interface OpenTelemetry {
  ROOT_CONTEXT: unknown
  trace: {
    getTracer(name: string): { startSpan(name: string, options: object, context: never): OpenTelemetrySpan }
    setSpanContext(context: never, spanContext: { traceId: string; spanId: string; traceFlags: number; isRemote: boolean }): unknown
    setSpan(context: never, span: never): unknown
  }
  context: { with(context: never, work: () => void): unknown }
}

export interface OpenTelemetrySpan {
  end(): void
}

/** SpanKind.CONSUMER of `@opentelemetry/api`. */
const consumer = 4

/** Runs the handlers of an event within a span, a child of the event's trace context. Without one, it only runs them. */
export function received(api: OpenTelemetry | undefined, name: string, event: JobEvent, handle: () => void): void {
  const [, traceId, spanId, flags] = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})/.exec(event.traceparent ?? '') ?? []
  if (!api || !traceId || !spanId || !flags) return handle()
  const parent = api.trace.setSpanContext(api.ROOT_CONTEXT as never, { traceId, spanId, traceFlags: parseInt(flags, 16), isRemote: true })
  const span = api.trace.getTracer('@letswriteabook/realtime-client').startSpan(`receive ${name}`, {
    kind: consumer,
    attributes: {
      'messaging.system': 'realtime', 'messaging.destination.name': name, 'messaging.operation.type': 'receive',
      'messaging.operation.name': 'receive', 'realtime.job.id': event.jobId, 'realtime.kind': event.kind === 'other' ? event.name as string : event.kind,
      ...(event.sequence !== undefined && { 'realtime.sequence': event.sequence }),
      ...(event.id !== undefined && { 'messaging.message.id': event.id }),
    },
  }, parent as never)
  try {
    api.context.with(api.trace.setSpan(parent as never, span as never) as never, handle)
  } finally {
    span.end()
  }
}
