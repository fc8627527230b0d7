import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import {
  ClosedError, createPublisher, domainEvent, type Envelope, jobStatus, OutboxFullError, type Publisher, type PublisherOptions,
  RejectedError,
} from '../src/index.js'
import { FakeRedis } from './support/fakeredis.js'

const event = (jobId: string, id: string): Envelope => domainEvent(jobId, { type: 'step', occurredAt: 'now' }, { id })

let redis: FakeRedis
let publisher: Publisher

async function open(options: Partial<PublisherOptions> = {}): Promise<Publisher> {
  publisher = createPublisher({ redis: redis.connect, ...options })
  redis.up()
  await vi.advanceTimersByTimeAsync(0)
  return publisher
}

const tick = (ms = 0) => vi.advanceTimersByTimeAsync(ms)

beforeEach(() => {
  vi.useFakeTimers()
  redis = new FakeRedis()
})

afterEach(async () => {
  const closed = publisher.close({ timeoutMs: 0 })
  await vi.advanceTimersByTimeAsync(0)
  await closed
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

describe('receipts', () => {
  test('the promise resolves with the receipt, and not before', async () => {
    const onReceipt = vi.fn()
    await open({ onReceipt })
    const promise = publisher.publish(event('job', 'a'))
    await tick()
    expect(redis.ids).toEqual(['a'])
    expect(publisher.stats()).toMatchObject({ pendingEvents: 1, inFlight: 1, confirmed: 0 })
    redis.receipt('a', 'job', 7)
    await expect(promise).resolves.toEqual({ id: 'a', jobId: 'job', sequence: 7, duplicate: false })
    expect(onReceipt).toHaveBeenCalledTimes(1)
    expect(publisher.stats()).toMatchObject({ pendingEvents: 0, pendingBytes: 0, inFlight: 0, confirmed: 1, oldestMs: 0 })
  })

  test('an id is filled in, and the version', async () => {
    await open()
    void publisher.publish(jobStatus('job', 'running'))
    void publisher.publish({ kind: 'job-status', jobId: 'job-2', status: 'queued', id: '' })
    await tick()
    for (const text of redis.published) expect(JSON.parse(text)).toMatchObject({ version: 1, id: expect.stringMatching(/^[0-9a-f-]{36}$/) })
    expect(new Set(redis.ids).size).toBe(2)
  })

  test('what is no receipt of ours is passed over', async () => {
    await open()
    void publisher.publish(event('job', 'a'))
    await tick()
    for (const text of ['', 'null', '{}', '[1]', '{"id":"a","jobId":"job","sequence":0,"duplicate":false}']) redis.raw(text)
    redis.receipt('a', 'other')
    redis.receipt('b', 'job')
    expect(publisher.stats().pendingEvents).toBe(1)
  })

  test('a receipt that is heard twice counts once', async () => {
    await open()
    void publisher.publish(event('job', 'a'))
    await tick()
    redis.receipt('a', 'job')
    redis.receipt('a', 'job', 1, true)
    expect(publisher.stats()).toMatchObject({ confirmed: 1, duplicates: 0, inFlight: 0 })
  })

  test('a receipt before the answer to PUBLISH ends the event', async () => {
    redis.onPublish = ({ id, jobId }) => {
      redis.receipt(id, jobId)
      return 1
    }
    await open()
    await Promise.all(['a', 'b', 'c'].map((id) => publisher.publish(event('job', id))))
    expect(redis.ids).toEqual(['a', 'b', 'c'])
    expect(publisher.stats()).toMatchObject({ inFlight: 0, repeats: 0 })
  })
})

describe('repeating', () => {
  test('an event is repeated with the same bytes, with pauses that grow up to the largest', async () => {
    await open({ receiptTimeoutMs: 1000, backoffMinMs: 100, backoffMaxMs: 400 })
    const times: number[] = []
    redis.onPublish = () => times.push(Date.now())
    void publisher.publish(event('job', 'a'))
    await tick(12_000)
    const gaps = times.slice(1).map((time, n) => time - (times[n] as number) - 1000)
    for (const [n, plain] of [100, 200, 400, 400, 400].entries()) {
      expect(gaps[n]).toBeGreaterThanOrEqual(plain * 0.75)
      expect(gaps[n]).toBeLessThanOrEqual(plain * 1.25)
    }
    expect(new Set(redis.published).size).toBe(1)
    expect(publisher.stats().repeats).toBe(times.length - 1)
  })

  test('one event of a job is under way, also while it is repeated; other jobs go on', async () => {
    await open()
    for (const id of ['a1', 'a2', 'a3']) void publisher.publish(event('a', id))
    for (const id of ['b1', 'b2']) void publisher.publish(event('b', id))
    await tick(5000)
    expect(new Set(redis.ids)).toEqual(new Set(['a1', 'b1']))
    redis.receipt('b1', 'b')
    await tick()
    expect(new Set(redis.ids)).toEqual(new Set(['a1', 'b1', 'b2']))
    redis.receipt('a1', 'a')
    await tick()
    expect(redis.ids.at(-1)).toBe('a2')
    expect(redis.ids).not.toContain('a3')
  })

  test('a publish that nobody hears, or that fails, is repeated after the pause alone', async () => {
    redis.onPublish = () => (redis.published.length === 1 ? 0 : new Error('no'))
    const onError = vi.fn()
    await open({ onError })
    void publisher.publish(event('job', 'a'))
    await tick(130)
    expect(redis.ids).toEqual(['a', 'a'])
    expect(onError).toHaveBeenCalledTimes(1)
  })

  test('while nobody listens one event asks often, and wakes the others when somebody does', async () => {
    let listeners = 0
    redis.onPublish = () => listeners
    await open({ backoffMinMs: 60_000, backoffMaxMs: 60_000 })
    for (const job of ['a', 'b', 'c']) void publisher.publish(event(job, job))
    await tick(2200)
    expect(redis.ids).toEqual(['a', 'b', 'c', 'a', 'a', 'a', 'a'])
    listeners = 1
    await tick(600)
    expect(redis.ids.slice(7, 8)).toEqual(['a'])
    expect(redis.ids.slice(8).sort()).toEqual(['b', 'c'])
  })

  test('a first receipt after silence wakes everybody who pauses', async () => {
    await open({ backoffMinMs: 60_000, backoffMaxMs: 60_000 })
    for (const job of ['a', 'b', 'c']) void publisher.publish(event(job, job))
    await tick(2000)
    expect(redis.published.length).toBe(3)
    redis.receipt('a', 'a')
    await tick(100)
    expect(redis.ids.slice(3).sort()).toEqual(['b', 'c'])
  })

  test('a new subscription repeats at once what waits, because its receipt may have been missed', async () => {
    await open()
    void publisher.publish(event('job', 'a'))
    await tick()
    redis.client('receipts').down()
    redis.client('receipts').up()
    await tick(100)
    expect(redis.ids).toEqual(['a', 'a'])
    expect(publisher.stats().inFlight).toBe(1)
  })

  test('nothing is sent while receipts cannot be heard', async () => {
    await open()
    redis.client('receipts').down()
    void publisher.publish(event('job', 'a'))
    await tick(20_000)
    expect(redis.ids).toEqual([])
    redis.client('receipts').up()
    await tick(100)
    expect(redis.ids).toEqual(['a'])
  })

  test('a subscription that does not answer is replaced, and so is a connection that does not publish', async () => {
    await open({ pingMs: 1000, redisTimeoutMs: 500 })
    redis.client('receipts').silent = true
    await tick(1600)
    expect(redis.client('receipts').reconnects).toBe(1)
    redis.client('receipts').silent = false
    redis.up()
    await tick()
    redis.onPublish = () => new Promise<number>(() => {})
    void publisher.publish(event('job', 'a'))
    await tick(600)
    expect(redis.client('publish').reconnects).toBe(1)
  })

  test('places in flight are bounded, and given back by those who pause', async () => {
    await open({ maxInFlight: 2, receiptTimeoutMs: 1000, backoffMinMs: 5000 })
    for (const job of ['a', 'b', 'c', 'd', 'e']) void publisher.publish(event(job, job))
    await tick(999)
    expect(redis.ids).toEqual(['a', 'b'])
    await tick(1)
    expect(redis.ids).toEqual(['a', 'b', 'c', 'd'])
    expect(publisher.stats().inFlight).toBe(2)
  })

  test('an event is given up after the time that was asked for, and its job goes on', async () => {
    const onRejected = vi.fn()
    await open({ giveUpAfterMs: 3000, onRejected })
    const given = publisher.publish(event('job', 'a'))
    void publisher.publish(event('job', 'b'))
    await tick(10_000)
    await expect(given).rejects.toMatchObject({ name: 'RejectedError', reason: 'unconfirmed' })
    expect(onRejected.mock.calls[0]?.[0]).toMatchObject({ id: 'a', jobId: 'job' })
    expect(redis.ids).toContain('b')
  })
})

describe('bounds', () => {
  test('at the bound of events publish refuses, tells once, and takes more when there is room', async () => {
    const onFull = vi.fn()
    await open({ maxEvents: 4, onFull })
    for (const id of ['a', 'b', 'c', 'd']) void publisher.publish(event('job', id))
    await expect(publisher.publish(event('job', 'e'))).rejects.toThrow(OutboxFullError)
    await expect(publisher.publish(event('job', 'e'))).rejects.toMatchObject({ events: 4 })
    expect(onFull).toHaveBeenCalledTimes(1)
    const roomy = vi.fn()
    void publisher.room().then(roomy)
    await tick()
    expect(roomy).not.toHaveBeenCalled()
    redis.receipt('a', 'job')
    await tick()
    expect(roomy).toHaveBeenCalled()
    void publisher.publish(event('job', 'e'))
    expect(publisher.stats()).toMatchObject({ pendingEvents: 4, refusedFull: 2, accepted: 5 })
    await expect(publisher.publish(event('job', 'f'))).rejects.toThrow(OutboxFullError)
    expect(onFull).toHaveBeenCalledTimes(2)
  })

  test('the bound of bytes counts what is sent', async () => {
    await open({ maxBytes: 1000, maxEventBytes: 1000 })
    const large = domainEvent('job', { type: 't', occurredAt: 'now', text: 'é'.repeat(300) })
    void publisher.publish(large)
    await expect(publisher.publish(large)).rejects.toThrow(/outbox is full: 1 of 10000 events, 7\d\d of 1000 bytes/)
  })

  test('what is refused leaves nothing behind, and nobody has to catch it', async () => {
    await open()
    void publisher.publish({ kind: 'domain', jobId: '' } as Envelope)
    await expect(publisher.publish(event('job', 'x'.repeat(129)))).rejects.toThrow(RejectedError)
    await tick(2000)
    expect(publisher.stats()).toMatchObject({ pendingEvents: 0, attempts: 0 })
  })

  test('an id that waits already: the same body shares the promise, another is a conflict', async () => {
    await open()
    const first = publisher.publish(event('job', 'a'))
    expect(publisher.publish(event('job', 'a'))).toBe(first)
    const other = domainEvent('job', { type: 'other', occurredAt: 'now' }, { id: 'a' })
    await expect(publisher.publish(other)).rejects.toMatchObject({ reason: 'id-conflict' })
    expect(publisher.stats().pendingEvents).toBe(1)
    expect(publisher.publish(event('other', 'a'))).not.toBe(first) // an id belongs to its job
    expect(publisher.stats().pendingEvents).toBe(2)
  })

  test.each([
    [{ maxEvents: 0 }, 'maxEvents'],
    [{ maxEvents: 1.5 }, 'maxEvents'],
    [{ maxBytes: 10 }, 'maxBytes'],
    [{ backoffMinMs: 10_000 }, 'backoffMaxMs'],
    [{ redis: undefined as never }, 'redis'],
    [{ http: { url: 'ftp://x' } }, 'http.url'],
  ])('the option %o is refused by name', (options, name) => {
    expect(() => createPublisher({ redis: redis.connect, ...options })).toThrow(name)
  })
})

describe('closing', () => {
  test('it waits for what is under way, and takes nothing more in', async () => {
    await open()
    const promise = publisher.publish(event('job', 'a'))
    const closed = publisher.close({ timeoutMs: 1000 })
    await expect(publisher.publish(event('job', 'b'))).rejects.toThrow(ClosedError)
    await tick(10)
    redis.receipt('a', 'job')
    await expect(closed).resolves.toBe(0)
    await promise
  })

  test('after the time it says what is unconfirmed, and no timer is left', async () => {
    await open()
    const promise = publisher.publish(event('job', 'a'))
    const closed = publisher.close({ timeoutMs: 1000 })
    await tick(1000)
    await expect(closed).resolves.toBe(1)
    await expect(promise).rejects.toThrow(ClosedError)
    expect(vi.getTimerCount()).toBe(0)
  })
})

test('the error of a callback is not taken for ours', async () => {
  await open({
    onReceipt: () => {
      throw new Error('mine')
    },
  })
  const uncaught = new Promise((resolve) => {
    const listeners = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    process.once('uncaughtException', (error) => {
      for (const listener of listeners) process.on('uncaughtException', listener)
      resolve(error.message)
    })
  })
  const promise = publisher.publish(event('job', 'a'))
  await tick()
  redis.receipt('a', 'job')
  await expect(promise).resolves.toBeDefined()
  await expect(uncaught).resolves.toBe('mine')
})
