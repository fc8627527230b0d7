import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { generationEvent } from '@letswriteabook/realtime-publisher'
import { context, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { BasicTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { build } from 'vite'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { scratch } from '../../publisher/test/support/servers.js'
import { Reader } from '../support/browser.js'
import { Collector } from '../support/collector.js'
import { Stack } from '../support/stack.js'

const jobId = 'novel-7'
const folder = scratch()

let collector: Collector
let stack: Stack
let reader: Reader
let provider: BasicTracerProvider

beforeAll(async () => {
  const site = join(folder.dir, 'site/')
  const [started] = await Promise.all([
    Collector.start(),
    build({ root: fileURLToPath(new URL('../pages/traces/', import.meta.url)), logLevel: 'error', build: { outDir: site, target: 'es2022' } }),
  ])
  collector = started
  provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(new OTLPTraceExporter({ url: collector.url }))] })
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  trace.setGlobalTracerProvider(provider)
  ;[stack, reader] = await Promise.all([
    Stack.start({
      programs: inject('programs'), folders: { '/': site }, config: { collector: collector.url, jobId },
      env: {
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: collector.url,
        OTEL_TRACES_SAMPLER: 'parentbased_always_off', // only the worker begins traces
        OTEL_BSP_SCHEDULE_DELAY: '100',
      },
    }),
    Reader.start(),
  ])
})
afterAll(async () => {
  // Other scenarios run in this process, without OpenTelemetry.
  trace.disable()
  context.disable()
  await Promise.all([stack?.stop(), reader?.close(), provider?.shutdown()])
  await collector?.close()
  folder.remove()
})

test('one trace goes from the publish of a worker to the receipt in a browser', async () => {
  const page = await reader.open(stack.site.url)
  await expect.poll(() => page.getByRole('status').textContent()).toBe('live')

  const { sequence } = await trace.getTracer('worker').startActiveSpan('write a chapter', async (span) => {
    const chapter = generationEvent(jobId, { type: 'chapter-drafted', occurredAt: new Date().toISOString(), chapter: 1 })
    return stack.publish(chapter).finally(() => span.end())
  })
  await page.getByRole('listitem').getByText(`${sequence}`, { exact: true }).waitFor()

  // Each span with who began it, and the name of its parent. A worker that has waited long for its receipt sends the event again.
  const worker = '@letswriteabook/realtime-publisher'
  const gateway = 'github.com/letswriteabook/realtime'
  const client = '@letswriteabook/realtime-client'
  const nameOf = (id: string) => collector.spans.find(({ spanId }) => spanId === id)?.name ?? id
  const way = () => [...new Set(collector.spans.map(({ parentId, scope, name }) => `${nameOf(parentId)} > ${scope}: ${name}`))].sort()
  await expect.poll(way).toEqual([
    ' > worker: write a chapter',
    `write a chapter > ${worker}: send novel.realtime.events`,
    `send novel.realtime.events > ${gateway}: process novel.realtime.events`,
    `process novel.realtime.events > ${gateway}: validate`,
    `process novel.realtime.events > ${gateway}: send NOVEL_EVENTS`,
    `send novel.realtime.events > ${gateway}: deliver novel.generation-event`,
    `send novel.realtime.events > ${client}: receive novel.generation-event`,
  ].sort())
  expect(new Set(collector.spans.map(({ traceId }) => traceId)).size).toBe(1)
  expect(collector.refused).toEqual([])
  expect(reader.complaints()).toEqual([])
})
