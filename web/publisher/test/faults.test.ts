import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import {
  createPublisher, domainEvent, type Envelope, OutboxFullError, type Publisher, type PublisherOptions, type Receipt,
} from '../src/index.js'
import { build, missing, readBack, scratch, Server, until } from './support/servers.js'

const jobs = ['job-a', 'job-b', 'job/ü.*>']
const example = fileURLToPath(new URL('../examples/worker.mjs', import.meta.url))

/** The nth event of a run: jobs take turns. */
function nth(n: number): Envelope {
  return domainEvent(jobs[n % jobs.length] as string, { type: 'step', occurredAt: new Date(0).toISOString(), n }, { id: `event-${n}` })
}

describe.skipIf(missing() !== undefined)('on a real gateway and a real Redis', () => {
  const folder = scratch()
  let binary: string

  beforeAll(() => {
    binary = build(folder.dir)
  }, 600_000)
  afterAll(() => folder.remove())

  async function start(): Promise<{ redis: Server; gateway: Server; url: string; dir: string }> {
    const { dir, remove } = scratch()
    const redis = await Server.redis(dir)
    const url = `redis://127.0.0.1:${redis.port}`
    const gateway = await Server.gateway(binary, `${dir}/data`, { REDIS_URL: url })
    onTestFinished(async () => {
      await gateway.kill()
      await redis.kill()
      remove()
    })
    return { redis, gateway, url, dir }
  }

  function open(url: string, options: Partial<PublisherOptions> = {}): Publisher {
    const publisher = createPublisher({ redis: new Redis(url, { lazyConnect: true }), ...options })
    onTestFinished(async () => void (await publisher.close({ timeoutMs: 0 })))
    return publisher
  }

  /** Publishes events as the outbox has room, one every few milliseconds, until stop says so; then waits for every receipt. */
  async function burst(publisher: Publisher, stop: () => boolean): Promise<Receipt[]> {
    const promises: Promise<Receipt>[] = []
    for (let n = 0; !stop(); n++) {
      await publisher.room()
      promises.push(publisher.publish(nth(n)))
      if (n % 5 === 0) await delay(2)
    }
    return Promise.all(promises)
  }

  /** Nothing lost, nothing twice, in order, and where the receipts say. */
  async function expectAll(gateway: Server, count: number, receipts?: Receipt[]): Promise<void> {
    for (const [at, job] of jobs.entries()) {
      const items = await readBack(gateway, job)
      const want = Array.from({ length: count }, (_, n) => n).filter((n) => n % jobs.length === at)
      expect(items.map(({ event }) => event.n), job).toEqual(want)
      const told = receipts?.filter(({ jobId }) => jobId === job).map(({ sequence }) => sequence)
      if (told) expect(items.map(({ sequence }) => sequence)).toEqual(told)
    }
  }

  test('the gateway is killed, again and again, in the middle of a burst', async () => {
    const { gateway, url } = await start()
    const publisher = open(url)
    let over = false
    const receipts = burst(publisher, () => over)
    for (let kills = 1; kills <= 5; kills++) {
      const confirmed = publisher.stats().confirmed
      await until('events are confirmed', () => publisher.stats().confirmed > confirmed + 50)
      await gateway.kill()
      await gateway.start()
    }
    over = true
    const all = await receipts
    expect(publisher.stats().repeats).toBeGreaterThan(0)
    await expectAll(gateway, all.length, all)
  })

  test('Redis cuts every subscription, once a second', async () => {
    const { gateway, url } = await start()
    const publisher = open(url)
    const admin = new Redis(url)
    onTestFinished(() => admin.disconnect())
    let over = false
    const receipts = burst(publisher, () => over)
    for (let cuts = 1; cuts <= 8; cuts++) {
      const confirmed = publisher.stats().confirmed
      await Promise.all([delay(1000), until('events are confirmed', () => publisher.stats().confirmed > confirmed)])
      await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
    }
    over = true
    const all = await receipts
    await expectAll(gateway, all.length, all)
  })

  test('Redis is killed and comes back', async () => {
    const { redis, gateway, url } = await start()
    const publisher = open(url)
    let over = false
    const receipts = burst(publisher, () => over)
    for (let kills = 1; kills <= 3; kills++) {
      const confirmed = publisher.stats().confirmed
      await until('events are confirmed', () => publisher.stats().confirmed > confirmed + 50)
      await redis.kill()
      await until('the publisher notices', () => !publisher.stats().redisReady)
      await redis.start()
    }
    over = true
    const all = await receipts
    await expectAll(gateway, all.length, all)
  })

  test('Redis is paused: the outbox fills to its bound and no further, says so, and empties afterwards', async () => {
    const { redis, gateway, url } = await start()
    const full: number[] = []
    const publisher = open(url, { maxEvents: 200, redisTimeoutMs: 500, onFull: ({ events }) => full.push(events) })
    await until('Redis is there', () => publisher.stats().redisReady)
    redis.pause()
    const promises: Promise<Receipt>[] = []
    for (let n = 0; n < 200; n++) promises.push(publisher.publish(nth(n)))
    await expect(publisher.publish(nth(200))).rejects.toThrow(OutboxFullError)
    await until('the publisher notices', () => !publisher.stats().redisReady)
    expect(publisher.stats()).toMatchObject({ pendingEvents: 200, confirmed: 0, refusedFull: 1 })
    expect(full).toEqual([200])
    redis.resume()
    await expectAll(gateway, 200, await Promise.all(promises))
  })

  test('while Redis stays away events go over HTTP, in the same order, and afterwards through Redis again', async () => {
    const { redis, gateway, url } = await start()
    const publisher = open(url, { http: { url: gateway.url(''), afterMs: 200 } })
    let over = false
    const receipts = burst(publisher, () => over)
    await until('events are confirmed', () => publisher.stats().confirmed > 50)
    await redis.kill()
    await until('events are confirmed over HTTP', () => publisher.stats().confirmedHttp > 50)
    await redis.start()
    await until('Redis is back', () => publisher.stats().redisReady)
    const http = () => publisher.stats().confirmed - publisher.stats().confirmedHttp
    const before = http()
    await until('events are confirmed through Redis', () => http() > before + 50)
    over = true
    const all = await receipts
    await expectAll(gateway, all.length, all)
  })

  test('an id that the log has with another body is refused, and its job goes on', async () => {
    const { url } = await start()
    const publisher = open(url)
    await publisher.publish(nth(0))
    const conflict = publisher.publish(domainEvent(jobs[0] as string, { type: 'other', occurredAt: 'now' }, { id: 'event-0' }))
    const next = publisher.publish(nth(3))
    await expect(conflict).rejects.toMatchObject({ reason: 'id-conflict' })
    await expect(next).resolves.toMatchObject({ id: 'event-3', duplicate: false })
  })

  test('the worker is killed in the middle of a burst, and its successor sends what it left', async () => {
    const { gateway, url, dir } = await start()
    const count = 3000
    const receipts = new Map<string, Receipt>()
    const run = (): { worker: ChildProcess; ended: Promise<number | null> } => {
      const env = { ...process.env, REDIS_URL: url, OUTBOX_DIR: `${dir}/outbox`, MAX_EVENTS: '400' }
      const worker = spawn(process.execPath, [example], { env, stdio: ['pipe', 'pipe', 'inherit'] })
      const lines = createInterface({ input: worker.stdout as NodeJS.ReadableStream }).on('line', (line) => {
        try {
          const receipt = JSON.parse(line) as Receipt
          receipts.set(receipt.id, receipt)
        } catch {
          // Half a line of a worker that was killed.
        }
      })
      worker.stdin?.on('error', () => {}) // killed while it is written to
      // What it wrote may be read after its end.
      const read = new Promise((resolve) => lines.once('close', resolve))
      const exit = new Promise<number | null>((resolve) => worker.once('exit', resolve))
      return { worker, ended: read.then(() => exit) }
    }

    // The input is a spool that the worker reads from its beginning each time, as one with stable ids may.
    const spool = Array.from({ length: count }, (_, n) => JSON.stringify(nth(n)))
    for (let kills = 1; kills <= 3; kills++) {
      const { worker, ended } = run()
      worker.stdin?.end(spool.join('\n'))
      await until('receipts come', () => receipts.size > kills * 100)
      worker.kill('SIGKILL')
      await ended
    }
    const { worker, ended } = run()
    worker.stdin?.end(spool.join('\n'))
    expect(await ended).toBe(0)
    expect(receipts.size).toBe(count)
    await expectAll(gateway, count)
  })
})
