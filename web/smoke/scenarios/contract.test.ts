import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { domainEvent, type Receipt } from '@letswriteabook/realtime-publisher'
import type { Page } from 'playwright-core'
import type * as SocketIO from 'socket.io-client'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { scratch } from '../../publisher/test/support/servers.js'
import { Reader } from '../support/browser.js'
import { Stack } from '../support/stack.js'

// The contract's scenario in a browser, as internal/e2e/languages_test.go has it for
// other clients: socket.io-client over each transport and the browser's EventSource,
// with a gateway that is killed in the middle.
const shared = 'shared'
const transports = { websocket: ['websocket'], polling: ['polling'], upgrade: ['polling', 'websocket'] }
const everybody = [...Object.keys(transports), 'EventSource']
const lib = fileURLToPath(new URL('.', import.meta.resolve('socket.io-client/dist/socket.io.js')))
const folder = scratch()

declare const io: typeof SocketIO.io
declare const seen: Record<string, [name: string, payload: Record<string, unknown>][]>
declare const sockets: Record<string, SocketIO.Socket>

let stack: Stack
let reader: Reader
let page: Page

beforeAll(async () => {
  const site = join(folder.dir, 'site/')
  mkdirSync(site)
  writeFileSync(join(site, 'index.html'), '<!doctype html><html lang="en"><title>A page</title><link rel="icon" href="data:,"><script src="/lib/socket.io.min.js"></script></html>')
  ;[stack, reader] = await Promise.all([
    Stack.start({ programs: inject('programs'), folders: { '/': site, '/lib/': lib } }), Reader.start(),
  ])
  page = await reader.open(stack.site.url)
})
afterAll(async () => {
  await Promise.all([stack?.stop(), reader?.close()])
  folder.remove()
})

function publish(jobId: string, count: number): Promise<Receipt[]> {
  return Promise.all(Array.from({ length: count }, () => stack.publish(domainEvent(jobId, { type: 'step', occurredAt: new Date(0).toISOString() }))))
}

/** What a client was sent under a name, since its beginning. */
function sent(client: string, name: string): Promise<Record<string, unknown>[]> {
  return page.evaluate(([client, name]) => (seen[client] ?? []).flatMap(([sent, payload]) => (sent === name ? [payload] : [])), [client, name] as const)
}

/** Everybody has exactly these events of the shared job, in the order of the log. */
async function complete(receipts: Receipt[]): Promise<void> {
  const wanted = receipts.map(({ sequence }) => sequence).sort((a, b) => a - b)
  for (const client of everybody) {
    const sequences = async () => (await sent(client, 'novel.domain-event')).flatMap(({ jobId, sequence }) => (jobId === shared ? sequence : []))
    await expect.poll(sequences, { message: client, interval: 50 }).toEqual(wanted)
  }
}

test('socket.io-client and EventSource in a browser keep the contract, over a restart', async () => {
  const published = await publish(shared, 40)
  await page.evaluate(([gateway, shared, transports]) => {
    Object.assign(window, { seen: { EventSource: [] }, sockets: {} })
    for (const [client, names] of Object.entries(transports)) {
      const told: (typeof seen)[string] = (seen[client] = [])
      const socket = (sockets[client] = io(gateway, { path: '/ws', transports: names, forceNew: true, reconnectionDelay: 50, reconnectionDelayMax: 200 }))
      let since: unknown
      socket.on('connect', () => socket.emit('subscribe', { jobId: shared, since }))
      socket.onAny((name: string, payload: Record<string, unknown>) => {
        told.push([name, payload])
        if (name === 'novel.caught-up' && payload['jobId'] === shared) since = payload['position']
      })
    }
    const source = new EventSource(`${gateway}/api/realtime/stream?jobId=${shared}`)
    for (const name of ['novel.domain-event', 'novel.caught-up', 'novel.gap', 'novel.error']) {
      source.addEventListener(name, ({ data }: MessageEvent<string>) => seen['EventSource']?.push([name, JSON.parse(data)]))
    }
  }, [stack.network.url, shared, transports] as const)
  await complete(published)

  for (const client of Object.keys(transports)) {
    const own = `own of ${client}`
    const answers = await page.evaluate(async ([client, own]) => {
      const socket = (sockets[client] as SocketIO.Socket).timeout(30_000)
      return [await socket.emitWithAck('ping'), await socket.emitWithAck('subscribe', { jobId: own }), await socket.emitWithAck('subscribe', { jobId: ' ' }), await socket.emitWithAck('unsubscribe', {})]
    }, [client, own] as const)
    expect(answers).toMatchObject([
      { ok: true }, { ok: true, jobId: own },
      { ok: false, code: 'JOB_ID_REQUIRED', message: 'jobId is required to subscribe.' }, { ok: false, code: 'JOB_ID_REQUIRED', message: 'jobId is required to unsubscribe.' },
    ])
    await publish(own, 1)
    const ofOwn = async () => (await sent(client, 'novel.domain-event')).filter(({ jobId }) => jobId === own).length
    await expect.poll(ofOwn).toBe(1)
    await page.evaluate(([client, jobId]) => (sockets[client] as SocketIO.Socket).timeout(30_000).emitWithAck('unsubscribe', { jobId }), [client, own] as const)
    await publish(own, 1)
    await page.evaluate((client) => (sockets[client] as SocketIO.Socket).timeout(30_000).emitWithAck('ping'), client) // behind whatever was sent before
    expect(await ofOwn()).toBe(1)
    expect(await sent(client, 'novel.unsubscribed')).toMatchObject([{ jobId: own }])
    expect((await sent(client, 'novel.error')).map(({ message }) => message)).toEqual(['jobId is required to subscribe.', 'jobId is required to unsubscribe.'])
    expect(await sent(client, 'pong')).toHaveLength(2)
  }

  published.push(...await publish(shared, 20))
  await complete(published)
  await stack.gateway.kill()
  const missed = publish(shared, 20)
  await stack.gateway.start()
  published.push(...await missed, ...await publish(shared, 20))
  await complete(published)
  expect(reader.complaints()).toEqual([])
})
