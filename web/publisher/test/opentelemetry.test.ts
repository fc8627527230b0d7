import { context, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createPublisher, domainEvent, type Publisher } from '../src/index.js'
import { FakeRedis } from './support/fakeredis.js'

let redis: FakeRedis
let publisher: Publisher
const exporter = new InMemorySpanExporter()

beforeEach(async () => {
  vi.useFakeTimers()
  redis = new FakeRedis()
  publisher = createPublisher({ redis: redis.connect })
  redis.up()
  await vi.advanceTimersByTimeAsync(0)
})

afterEach(async () => {
  const closed = publisher.close({ timeoutMs: 0 })
  await vi.advanceTimersByTimeAsync(0)
  await closed
  vi.useRealTimers()
  trace.disable()
  context.disable()
  exporter.reset()
})

/** Sets up the OpenTelemetry of an application. */
function setUp(): void {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }))
}

const event = (id: string, more: object = {}) => domainEvent('job', { type: 'step', occurredAt: 'now' }, { id, ...more })
const own = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'

test('an event is sent without a trace context if the application does not trace', async () => {
  void publisher.publish(event('a'))
  void publisher.publish({ ...event('b', { traceparent: own }), jobId: 'other' })
  await vi.advanceTimersByTimeAsync(0)
  expect(redis.published.map((text) => JSON.parse(text).traceparent)).toEqual([undefined, own])
})

test('an event has the trace context of a span that is a child of the active one and lasts until the receipt', async () => {
  setUp()
  const step = trace.getTracer('worker').startSpan('step')
  const promise = context.with(trace.setSpan(context.active(), step), () => publisher.publish(event('a')))
  await vi.advanceTimersByTimeAsync(0)
  expect(exporter.getFinishedSpans()).toEqual([])
  redis.receipt('a', 'job', 7)
  await promise
  await vi.advanceTimersByTimeAsync(0)
  const [span] = exporter.getFinishedSpans()
  const { traceId, spanId } = span!.spanContext()
  expect(traceId).toBe(step.spanContext().traceId)
  expect(span).toMatchObject({
    name: 'send novel.realtime.events', kind: SpanKind.PRODUCER, parentSpanContext: { spanId: step.spanContext().spanId },
    attributes: { 'realtime.job.id': 'job', 'realtime.sequence': 7, 'realtime.duplicate': false },
  })
  expect(redis.published.map((text) => JSON.parse(text).traceparent)).toEqual([`00-${traceId}-${spanId}-01`])
})

test('the span of an event that is refused has failed', async () => {
  setUp()
  await expect(publisher.publish({ ...event('a'), jobId: '' })).rejects.toThrow('jobId')
  expect(exporter.getFinishedSpans()).toMatchObject([{ status: { code: SpanStatusCode.ERROR } }])
})

test('the same event of another trace is the same event', async () => {
  setUp()
  const first = publisher.publish(event('a'))
  const again = publisher.publish(event('a'))
  await vi.advanceTimersByTimeAsync(0)
  redis.receipt('a', 'job', 7)
  expect(await again).toEqual(await first)
  expect(redis.ids).toEqual(['a'])
  await expect(Promise.all([publisher.publish(event('b')), publisher.publish(domainEvent('job', { type: 'other', occurredAt: 'now' }, { id: 'b' }))]))
    .rejects.toThrow('waits for its receipt')
})
