import { createServer, type Server } from 'node:http'

/** A span that was exported. The ids are in hexadecimal; `parentId` is empty for a root. */
export interface Span {
  traceId: string
  spanId: string
  parentId: string
  name: string
  /** The instrumentation that began the span. */
  scope: string
}

/** Receives spans over OTLP/HTTP, as JSON from pages and SDKs of JavaScript, and as protobuf from the gateway. */
export class Collector {
  readonly spans: Span[] = []
  /** Requests that are no export of spans. */
  readonly refused: string[] = []

  private constructor(readonly url: string, readonly server: Server) {}

  /** Listens on a free loopback port. */
  static async start(): Promise<Collector> {
    const server = createServer(async (request, response) => {
      response.setHeader('Access-Control-Allow-Origin', '*')
      response.setHeader('Access-Control-Allow-Headers', '*')
      if (request.method === 'OPTIONS') {
        response.writeHead(204).end()
        return
      }
      const type = request.headers['content-type'] ?? ''
      const parts: Buffer[] = []
      for await (const part of request) parts.push(part as Buffer)
      const body = Buffer.concat(parts)
      try {
        collector.spans.push(...(type.includes('json') ? fromJSON(JSON.parse(body.toString())) : fromProtobuf(body)))
        response.writeHead(200, { 'Content-Type': type }).end(type.includes('json') ? '{}' : '')
      } catch (error) {
        collector.refused.push(`${request.method} ${request.url} ${type}: ${error}`)
        response.writeHead(400).end()
      }
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    const collector = new Collector(`http://127.0.0.1:${port}/v1/traces`, server)
    return collector
  }

  async close(): Promise<void> {
    this.server.closeAllConnections()
    await new Promise((resolve) => this.server.close(resolve))
  }
}

/** The part of ExportTraceServiceRequest that is read. */
interface Request {
  resourceSpans: { scopeSpans: { scope?: { name: string }; spans: { traceId: string; spanId: string; parentSpanId?: string; name: string }[] }[] }[]
}

function fromJSON({ resourceSpans }: Request): Span[] {
  return resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ scope, spans }) =>
    spans.map(({ traceId, spanId, parentSpanId, name }) => ({ traceId, spanId, parentId: parentSpanId ?? '', name, scope: scope?.name ?? '' }))))
}

// The numbers of fields are those of opentelemetry/proto/trace/v1/trace.proto.
function fromProtobuf(request: Buffer): Span[] {
  return fields(request, 1).flatMap((resource) => fields(resource, 2)).flatMap((scopeSpans) => {
    const scope = fields(scopeSpans, 1).flatMap((of) => fields(of, 1)).join()
    return fields(scopeSpans, 2).map((span) => {
      const [traceId = '', spanId = '', parentId = ''] = [1, 2, 4].map((number) => fields(span, number)[0]?.toString('hex'))
      return { traceId, spanId, parentId, name: fields(span, 5).join(), scope }
    })
  })
}

/** The values of a field of a protobuf message that is a message, text or bytes (https://protobuf.dev/programming-guides/encoding). */
function fields(message: Buffer, number: number): Buffer[] {
  const values: Buffer[] = []
  let at = 0
  const varint = () => {
    let value = 0
    for (let factor = 1; ; factor *= 128) {
      const byte = message.readUInt8(at++)
      value += (byte & 127) * factor
      if (byte < 128) return value
    }
  }
  while (at < message.length) {
    const tag = varint()
    const field = Math.floor(tag / 8)
    switch (tag % 8) {
      case 0: varint(); break
      case 1: at += 8; break
      case 2: {
        const length = varint()
        if (field === number) values.push(message.subarray(at, at + length))
        at += length
        break
      }
      case 5: at += 4; break
      default: throw new Error(`wire type ${tag % 8} of field ${field}`)
    }
  }
  return values
}
