import { describe, expect, onTestFinished, test } from 'vitest'
import { createRealtime, type Diagnostic, type Realtime, type RealtimeOptions } from '../src/index.js'
import { block, caughtUp, item, script, streamed } from './support/script.js'
import { Seen, until } from './support/stage.js'

/** A client that falls back at once. */
function follow(url: string, options: RealtimeOptions = {}): { client: Realtime; seen: Seen; diagnostics: Diagnostic[] } {
  const diagnostics: Diagnostic[] = []
  const client = createRealtime({
    url, reconnect: { minMs: 20, maxMs: 200 }, onDiagnostic: (diagnostic) => diagnostics.push(diagnostic), ...options,
    fallback: { afterMs: 20, pollMs: 20, ...options.fallback },
  })
  onTestFinished(() => client.close())
  return { client, seen: new Seen(client, 'job-1'), diagnostics }
}

describe('an event stream', () => {
  test('has line separators in its texts, as they are', async () => {
    const { url } = await script({ stream: (response) => streamed(response, block('e:1', 1, '{"jobId":"job-1","sequence":1,"event":{"n":1,"text":"a\u2028b\u2029c"}}'), block('e:2', 2)) })
    const { seen } = follow(url)
    await seen.count(2)
    expect(seen.events[0]).toMatchObject({ kind: 'domain', event: { text: 'a\u2028b\u2029c' } })
  })

  test('is read by the rules: any line end, comments, data of several lines, no space after the colon', async () => {
    const { url } = await script({
      stream: (response) => streamed(response, '\r\nevent:novel.domain-event\r\nid:e:1\r\n: between\r\nretry: 5\r\ndata:{"jobId":"job-1",\r\ndata: "sequence":1,"event":{"n":1}}\r\n\r\n', block('e:2', 2)),
    })
    const { seen } = follow(url)
    await seen.count(2)
    expect(seen.numbers).toEqual([1, 2])
  })

  for (const data of ['{"jobId":"job-1"', 'null', '"text"', '<html>']) {
    test(`leaves out what cannot be read (${data}) with a diagnostic, and goes on after it`, async () => {
      const { url, streams } = await script({
        stream: (response, n) => void (n === 0 ? streamed(response, block('e:1', 1), block('e:2', 2, data)).end() : streamed(response, block('e:3', 3))),
      })
      const { seen, diagnostics } = follow(url)
      await seen.count(2)
      expect(seen.numbers).toEqual([1, 3])
      expect(streams[1]?.path).toContain(`since=${encodeURIComponent('e:2')}`)
      expect(diagnostics.filter(({ code }) => code === 'unreadable-event')).toMatchObject([{ jobId: 'job-1', name: 'novel.domain-event', position: 'e:2' }])
    })
  }

  test('that ends again and again is asked for ever more rarely, until events flow', async () => {
    // Ends with its first byte, then once after an event, then with its first byte.
    const { url, streams } = await script({ stream: (response, n) => void streamed(response, ...(n === 6 ? [block('e:1', 1)] : [])).end() })
    const minMs = 60
    const { seen } = follow(url, { reconnect: { minMs, maxMs: 10_000 } })
    await until('it is asked for eight times', () => streams.length >= 8)
    const pauses = streams.slice(1).map(({ at }, n) => at - (streams[n] as { at: number }).at)
    for (let n = 0; n < 6; n++) expect(pauses[n], `pause ${n} of ${pauses}`).toBeGreaterThanOrEqual(minMs * 2 ** n * 0.5 - 5)
    // At most minMs and what the machine adds; without the event it would be no shorter than this.
    expect(pauses[6], `after an event, of ${pauses}`).toBeLessThan(minMs * 2 ** 6 * 0.5)
    expect(seen.numbers).toEqual([1])
  })

  test('that is full for now is asked for again, and not given up for polling', async () => {
    const problem = { code: 'MAX_CONNECTIONS_EXCEEDED', message: 'Too many realtime connections. Please retry shortly.', limit: 1, current: 1 }
    for (const refuse of [
      (response: Parameters<typeof streamed>[0]) => void response.writeHead(503, { 'Content-Type': 'application/json', 'Retry-After': '1' }).end(JSON.stringify(problem)),
      (response: Parameters<typeof streamed>[0]) => void streamed(response, `retry: 100\nevent: novel.error\ndata: ${JSON.stringify({ ...problem, retryAfterMs: 100 })}\n\n`).end(),
    ]) {
      const { url, pages } = await script({ stream: (response, n) => (n < 2 ? refuse(response) : void streamed(response, block('e:1', 1), caughtUp(1))) })
      const { seen } = follow(url)
      await seen.state('live')
      expect(seen.status).toEqual({ state: 'live', transport: 'sse' })
      expect(pages).toEqual([])
    }
  })

  for (const [what, refusal] of [
    ['a refusal', `retry: 50\nevent: novel.error\ndata: ${JSON.stringify({ code: 'MAX_CONNECTIONS_EXCEEDED', message: 'full', retryAfterMs: 50 })}\n\n`],
    ['the end of a gateway that stops', 'retry: 50\n\n'],
  ] as const) {
    test(`that is only ${what} is not shown as connected`, async () => {
      const { url, streams } = await script({
        stream: (response, n) => {
          if (n > 2) return void streamed(response, block('e:1', 1), caughtUp(1))
          response.writeHead(200, { 'Content-Type': 'text/event-stream' }).end(refusal)
        },
      })
      const { seen, diagnostics } = follow(url)
      await seen.state('live')
      expect(streams).toHaveLength(4)
      expect(diagnostics.filter(({ code }) => code === 'fallback')).toHaveLength(1)
      expect(seen.states.filter((state) => state === 'connected' || state === 'catching-up').length).toBeLessThanOrEqual(1)
      expect(seen.numbers).toEqual([1])
    })
  }

  test('that was refused is asked for again by retry(), and then shown as served', async () => {
    const forbidden = `event: novel.error\ndata: ${JSON.stringify({ code: 'JOB_FORBIDDEN', message: 'no' })}\n\n`
    const { url, streams } = await script({
      stream: (response, n) => void (n === 0 ? streamed(response, forbidden).end() : streamed(response, block('e:1', 1), caughtUp(1))),
    })
    const { seen, client } = follow(url)
    await seen.state('refused')
    expect(streams).toHaveLength(1)
    client.retry()
    await seen.state('live')
    expect(seen.status).toEqual({ state: 'live', transport: 'sse' })
  })

  test('that did not come through once is tried again later', async () => {
    const { url } = await script({
      stream: (response, n) => void (n === 0 ? response.writeHead(502).end() : streamed(response, block('e:2', 2), caughtUp(2))),
      page: (response, n) => void response.end(JSON.stringify({ count: 1, epoch: 'e', items: n === 0 ? [item(1, 1)] : [] })),
    })
    const { seen } = follow(url, { fallback: { streamPauseMs: 200 } })
    await seen.had('it is polled', ({ transport }) => transport === 'rest')
    await until('it is a stream', () => seen.status.transport === 'sse' && seen.status.state === 'live')
    expect(seen.numbers).toEqual([1, 2])
  })

  test('leaves no reason in a status that is live, and sockets are tried more rarely', async () => {
    const { url, sockets } = await script({ stream: (response) => streamed(response, block('e:1', 1), caughtUp(1)) })
    const { seen } = follow(url, { reconnect: { minMs: 20, maxMs: 40 } })
    await seen.state('live')
    expect(seen.status).toEqual({ state: 'live', transport: 'sse' })
    await until('sockets were tried seven times', () => sockets.length >= 7)
    const pauses = sockets.slice(1).map((at, n) => at - (sockets[n] as number))
    for (const n of [4, 5]) expect(pauses[n], `pause ${n} of ${pauses}`).toBeGreaterThanOrEqual(20 * 2 ** n * 0.5 - 5)
    expect(seen.status).toEqual({ state: 'live', transport: 'sse' })
  })
})

describe('positions', () => {
  test('are whole in what is asked for and told', async () => {
    const { url, streams } = await script({ stream: (response, n) => void (n === 0 ? streamed(response, block('e1:7', 7)).end() : streamed(response)) })
    const { seen } = follow(url)
    await until('it is asked for again', () => streams.length === 2)
    expect(streams[1]?.path).toContain(`since=${encodeURIComponent('e1:7')}`)
    expect(seen.subscription.cursor).toBe('e1:7')
    expect(seen.subscription.position).toEqual({ epoch: 'e1', sequence: 7 })
  })

  test('of another log are not put together with those of this one while polling', async () => {
    let epoch = 'e1'
    const { url, pages } = await script({
      page: (response, _, { url }) => {
        const since = new URL(url as string, 'http://x').searchParams.get('since')
        const all = epoch === 'e1' ? [item(1, 1), item(2, 2)] : [item(1, 11), item(2, 12), item(3, 13)]
        const after = Number(since?.split(':').at(-1) ?? 0)
        const items = since === null ? all.toReversed() : all.filter(({ sequence }) => sequence > after)
        response.end(JSON.stringify({ count: items.length, epoch, items }))
      },
    })
    const { seen } = follow(url, { fallback: { maxStreams: 0 } })
    await seen.count(2)
    await until('it goes on from there', () => pages.some((path) => path.includes(`since=${encodeURIComponent('e1:2')}`)))
    epoch = 'e2'
    await seen.count(5)
    expect(seen.numbers).toEqual([1, 2, 11, 12, 13])
    expect(seen.told).toEqual(['caught-up', 'gap epoch-changed', 'caught-up'])
    expect(seen.subscription.cursor).toBe('e2:3')
  })

  test('of another log are told as a gap on a stream whose gateway does not tell it', async () => {
    const { url } = await script({ stream: (response, n) => void (n === 0 ? streamed(response, block('e1:7', 7)).end() : streamed(response, block('e2:3', 3), block('e2:9', 9))) })
    const { seen } = follow(url)
    await seen.count(3)
    expect(seen.numbers).toEqual([7, 3, 9])
    expect(seen.told).toEqual(['gap epoch-changed'])
    expect(seen.subscription.cursor).toBe('e2:9')
  })
})
