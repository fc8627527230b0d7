import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type * as Library from '@letswriteabook/realtime-client'
import type { Page } from 'playwright-core'
import { build } from 'vite'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { scratch } from '../../publisher/test/support/servers.js'
import { Reader } from '../support/browser.js'
import { type SecureProxy, secureProxies } from '../support/proxies.js'
import { Stack } from '../support/stack.js'

declare const library: typeof Library

// A browser, TLS and HTTP/2 by ALPN, in front of them Debian's proxies as
// docs/ops/proxies.md has them, with the gateway below a path.
const folder = scratch()
let stack: Stack
let reader: Reader
let proxies: SecureProxy[]
let page: Page
/** The versions of HTTP in which the proxies have answered. */
const protocols = new Set<string>()

beforeAll(async () => {
  const site = join(folder.dir, 'site/')
  await build({
    configFile: false, logLevel: 'error', define: { 'process.env.NODE_ENV': '"production"' },
    build: { outDir: site, lib: { entry: fileURLToPath(import.meta.resolve('@letswriteabook/realtime-client')), formats: ['iife'], name: 'library', fileName: () => 'client.js' } },
  })
  mkdirSync(site, { recursive: true })
  writeFileSync(join(site, 'index.html'), '<!doctype html><html lang="en"><title>A page</title><link rel="icon" href="data:,"><script src="client.js"></script></html>')
  ;[stack, reader] = await Promise.all([Stack.start({ programs: inject('programs'), folders: { '/': site } }), Reader.start()])
  proxies = await secureProxies(join(folder.dir, 'proxies'), stack.gateway.url(''))
  page = await reader.open(stack.site.url, { ignoreHTTPSErrors: true })
  const network = await page.context().newCDPSession(page)
  network.on('Network.responseReceived', ({ response }) => {
    if (response.url.startsWith('https:')) protocols.add(response.protocol ?? 'unknown')
  })
  await network.send('Network.enable')
})
afterAll(async () => {
  await Promise.all([stack?.stop(), reader?.close(), ...(proxies ?? []).map(({ server }) => server.kill())])
  folder.remove()
})

/** What the client's options make of the transport: sockets that are not there leave an event stream. */
const ways = {
  websocket: { fallback: false },
  polling: { transports: ['polling'] as const, fallback: false },
  sse: { path: '/nowhere', fallback: { afterMs: 20 } },
  rest: { path: '/nowhere', fallback: { afterMs: 20, maxStreams: 0, pollMs: 200 } },
}

test('sockets, streams, polling and pages work over HTTP/2 below a path', async () => {
  for (const proxy of proxies) {
    for (const [via, options] of Object.entries(ways)) {
      const jobId = `team-1/${proxy.name} ${via}`
      const published = await stack.chapters(jobId, 3)
      await page.evaluate(([url, jobId, options]) => {
        const client = library.createRealtime({ ...(options as object), url })
        const seen: (number | undefined)[] = []
        client.subscribeJob(jobId, { onEvent: ({ sequence }) => seen.push(sequence) })
        Object.assign(window, { client, seen })
      }, [`${proxy.url}/rt`, jobId, options] as const)
      const shown = () => page.evaluate(() => (window as unknown as { seen: number[] }).seen)
      const complete = () => expect.poll(shown, { interval: 20 }).toEqual(published.map(({ sequence }) => sequence))
      await complete()
      published.push(...await stack.chapters(jobId, 2))
      await complete()
      const { status, paged } = await page.evaluate(async (jobId) => {
        const { client } = window as unknown as { client: Library.Realtime }
        const { status } = client
        const paged = (await client.events(jobId)).map(({ sequence }) => sequence)
        client.close()
        return { status, paged }
      }, jobId)
      expect(status).toEqual({ state: 'live', transport: via })
      expect(paged.reverse()).toEqual(published.map(({ sequence }) => sequence))
    }
  }
  expect([...protocols]).toEqual(['h2'])
})

test('more event streams than HTTP/1.1 has connections are open at once, and pages beside them', async () => {
  for (const proxy of proxies) {
    const jobs = Array.from({ length: 10 }, (_, n) => `${proxy.name} stream ${n}`)
    await Promise.all(jobs.map((jobId) => stack.chapters(jobId, 1)))
    const told = await page.evaluate(async ([url, jobs]) => {
      const sources = jobs.map((jobId) => new EventSource(`${url}/rt/api/realtime/stream?jobId=${encodeURIComponent(jobId)}`))
      await Promise.all(sources.map((source) => new Promise((resolve) => source.addEventListener('novel.generation-event', resolve))))
      const counts = await Promise.all(jobs.map(async (jobId) => {
        const response = await fetch(`${url}/rt/api/novel/events?jobId=${encodeURIComponent(jobId)}`)
        return ((await response.json()) as { count: number }).count
      }))
      sources.forEach((source) => source.close())
      return counts
    }, [proxy.url, jobs] as const)
    expect(told).toEqual(jobs.map(() => 1))
  }
  expect([...protocols]).toEqual(['h2'])
  expect(reader.complaints()).toEqual([])
})
