// A page of an application with OpenTelemetry: it follows a job, and exports its spans.
import { createRealtime } from '@letswriteabook/realtime-client'
import * as opentelemetry from '@opentelemetry/api'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { BasicTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'

interface Config { gateway: string; collector: string; jobId: string }
const { gateway, collector, jobId } = (await (await fetch('/config.json')).json()) as Config

const exporter = new OTLPTraceExporter({ url: collector })
opentelemetry.trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }))

const show = (selector: string) => document.querySelector(selector) as HTMLElement
createRealtime({ url: gateway, opentelemetry }).subscribeJob(jobId, {
  onStatus: ({ state }) => { show('[role=status]').textContent = state },
  onEvent: (event) => { show('ol').appendChild(document.createElement('li')).textContent = `${event.sequence}` },
})
