import * as opentelemetry from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { JobEvent } from '../src/index.js'
import { received } from '../src/opentelemetry.js'

const exporter = new InMemorySpanExporter()

beforeAll(() => {
  opentelemetry.context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  opentelemetry.trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }))
})
afterEach(() => exporter.reset())
afterAll(() => {
  opentelemetry.trace.disable()
  opentelemetry.context.disable()
})

const event = (traceparent?: string) =>
  ({ kind: 'domain', jobId: 'job-1', emittedAt: '', sequence: 3, event: { type: 'x', occurredAt: '' }, ...(traceparent && { traceparent }) }) as JobEvent
const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'

test('the handlers of an event run within a span of its trace', () => {
  let active: opentelemetry.SpanContext | undefined
  received(opentelemetry, 'novel.domain-event', event(traceparent), () => (active = opentelemetry.trace.getActiveSpan()?.spanContext()))
  const [span] = exporter.getFinishedSpans()
  expect(span).toMatchObject({
    name: 'receive novel.domain-event', kind: opentelemetry.SpanKind.CONSUMER, parentSpanContext: { spanId: '00f067aa0ba902b7', isRemote: true },
    attributes: { 'realtime.job.id': 'job-1', 'realtime.sequence': 3 },
  })
  expect(span!.spanContext().traceId).toBe('4bf92f3577b34da6a3ce929d0e0e4736')
  expect(active).toEqual(span!.spanContext())
})

test.each([
  ['a trace that its worker does not record', opentelemetry, traceparent.replace(/1$/, '0')],
  ['an event without a trace context', opentelemetry, undefined],
  ['something that is no trace context', opentelemetry, 'x'],
  ['an application without OpenTelemetry', undefined, traceparent],
])('%s only runs the handlers', (_, api, text) => {
  let runs = 0
  received(api, 'novel.domain-event', event(text), () => runs++)
  expect(runs).toBe(1)
  expect(exporter.getFinishedSpans()).toEqual([])
})
