import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { onTestFinished } from 'vitest'

/** Answers one request; the n-th of its kind, counted from 0. */
export type Answer = (response: ServerResponse, n: number, request: IncomingMessage) => void

/** Its address, and what it was asked for; `sockets` are times. */
export interface Script {
  url: string
  streams: { path: string; at: number }[]
  pages: string[]
  sockets: number[]
}

/** A server that answers as a gateway of today never does: it refuses sockets, and streams and pages are written by the test. */
export async function script({ stream, page }: { stream?: Answer; page?: Answer }): Promise<Script> {
  const streams: { path: string; at: number }[] = []
  const pages: string[] = []
  const sockets: number[] = []
  const server = createServer((request, response) => {
    const path = request.url as string
    if (path.includes('/stream')) {
      streams.push({ path, at: Date.now() })
      if (stream) stream(response, streams.length - 1, request)
      else response.writeHead(404).end()
    } else {
      pages.push(path)
      if (page) page(response, pages.length - 1, request)
      else response.writeHead(404).end()
    }
  })
  server.on('upgrade', (_, socket) => {
    sockets.push(Date.now())
    socket.on('error', () => {}) // the client may be gone before the answer
    socket.end('HTTP/1.1 403 Forbidden\r\n\r\n')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return { url: `http://127.0.0.1:${(server.address() as { port: number }).port}`, streams, pages, sockets }
}

/** Begins an event stream. */
export function streamed(response: ServerResponse, ...blocks: string[]): ServerResponse {
  response.writeHead(200, { 'Content-Type': 'text/event-stream' })
  response.write([': stream of job events\n\n', ...blocks].join(''))
  return response
}

/** A domain event on a stream, with its number. */
export function block(position: string, n: number, data?: string): string {
  const sequence = Number(position.split(':').at(-1))
  return `event: novel.domain-event\nid: ${position}\ndata: ${data ?? JSON.stringify({ ...item(sequence, n), kind: undefined })}\n\n`
}

/** The same on a page. */
export function item(sequence: number, n: number) {
  return { kind: 'domain', jobId: 'job-1', emittedAt: '2026-01-01T00:00:00.000Z', sequence, event: { type: 'step', occurredAt: '2026-01-01T00:00:00Z', n } }
}

/** The end of the replay on a stream. */
export const caughtUp = (to: number) =>
  `event: novel.caught-up\ndata: ${JSON.stringify({ jobId: 'job-1', from: 0, to, replayed: to, source: 'log' })}\n\n`
