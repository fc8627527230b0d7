import { rmSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { range, ready, Seen, Stage, until } from './support/stage.js'

describe.skipIf(!ready)('connections break', () => {
  for (const ttl of ['2m', '0']) {
    test(`cut again and again in the middle of a stream, nothing is lost and nothing comes twice (recovery ${ttl})`, async () => {
      const stage = await Stage.start({ SOCKET_RECOVERY_TTL: ttl })
      const client = stage.client({ fallback: {} })
      const seen = new Seen(client, 'job-1')
      const other = new Seen(client, 'job-2')
      for (let round = 0; round < 15; round++) {
        const batches = [stage.publish('job-1', round * 20, 20), stage.publish('job-2', round * 20, 20)]
        if (round % 3 === 0) await batches[0]
        stage.proxy.cut()
        await Promise.all(batches)
        if (round % 2 === 0) await until('it is connected', () => client.status.state === 'live')
      }
      await Promise.all([seen.count(300), other.count(300)])
      expect(seen.numbers).toEqual(range(300))
      expect(other.numbers).toEqual(range(300))
      expect(seen.states).toContain('reconnecting')
    })
  }

  test('the status says why, and when it is tried again', async () => {
    const stage = await Stage.start()
    const client = stage.client({ offlineAfterMs: 600, reconnect: { minMs: 100, maxMs: 200 } })
    const seen = new Seen(client, 'job-1')
    await seen.state('live')
    stage.proxy.mode = 'refused'
    stage.proxy.cut()
    const lost = await seen.had('it reconnects', ({ state }) => state === 'reconnecting')
    expect(lost.reason).toMatchObject({ code: 'DISCONNECTED', retryAfterMs: expect.any(Number), retryAt: expect.any(Number) })
    await seen.had('an attempt failed', ({ reason }) => reason?.code === 'CONNECT_FAILED')
    await seen.state('offline')
    expect(client.status.state).toBe('offline')
    stage.proxy.mode = 'open'
    await seen.state('live')
    expect(seen.status).toEqual({ state: 'live', transport: 'websocket' })
  })

  test('a first connection that does not come about', async () => {
    const stage = await Stage.start()
    stage.proxy.mode = 'hang'
    const client = stage.client({ connectTimeoutMs: 1000, offlineAfterMs: 2500 })
    const seen = new Seen(client, 'job-1')
    expect((await seen.had('an attempt failed', ({ reason }) => reason !== undefined)).state).toBe('connecting')
    await seen.state('offline')
    stage.proxy.mode = 'open'
    client.retry()
    await seen.state('live')
  })

  test('a connection that ends before the first word of the server is tried again at once', async () => {
    const stage = await Stage.start()
    stage.proxy.mode = 'websockets-end'
    const seen = new Seen(stage.client(), 'job-1')
    expect((await seen.had('an attempt failed', ({ reason }) => reason !== undefined)).reason?.code).toBe('CONNECT_FAILED')
    stage.proxy.mode = 'open'
    await seen.state('live')
  })

  test('the gateway is killed and comes back', async () => {
    const stage = await Stage.start({}, { redis: true })
    const seen = new Seen(stage.client(), 'job-1')
    for (let round = 0; round < 3; round++) {
      await seen.state('live')
      await stage.publish('job-1', round * 50, 50)
      await stage.gateway.kill()
      await until('it is noticed', () => seen.status.state === 'reconnecting')
      await stage.gateway.start()
    }
    const worker = await stage.worker()
    for (let n = 150; n < 200; n++) await worker('job-1', n)
    await seen.count(200)
    expect(seen.numbers).toEqual(range(200))
  })

  test('who is left, and who is added, while there is no connection', async () => {
    const stage = await Stage.start()
    const client = stage.client({ reconnect: { minMs: 300, maxMs: 300 } })
    const left = new Seen(client, 'left')
    const stays = new Seen(client, 'stays')
    await Promise.all([left.state('live'), stays.state('live')])
    await stage.publish('stays', 0, 50)
    await stays.count(50)
    stage.proxy.cut()
    await stays.state('reconnecting')
    left.subscription.unsubscribe()
    const added = new Seen(client, 'stays') // the session that comes back would begin too late for it
    const anew = new Seen(client, 'anew')
    await stage.publish('stays', 50, 50)
    await stage.publish('anew', 0, 5)
    await Promise.all([stays.count(100), added.count(100), anew.count(5)])
    expect(stays.numbers).toEqual(range(100))
    expect(added.numbers).toEqual(range(100))
    await until('the job is left', async () => !('left' in (await stage.metrics()).subscribersPerJob))
    expect(await stage.metrics()).toMatchObject({ totalSubscriptions: 2 })
  })

  test('another log is told as a gap, and then shown from its beginning', async () => {
    const stage = await Stage.start()
    const seen = new Seen(stage.client(), 'job-1')
    await stage.publish('job-1', 0, 30)
    await seen.count(30)
    await stage.gateway.kill()
    rmSync(stage.dataDir, { recursive: true })
    await stage.gateway.start()
    await until('the gap is told', () => seen.told.includes('gap epoch-changed'))
    await seen.state('live')
    await stage.publish('job-1', 100, 10)
    await seen.count(40)
    expect(seen.numbers.slice(30)).toEqual(range(10).map((n) => n + 100))
    // The position is one in the new log: the next break is an ordinary one.
    stage.proxy.cut()
    await stage.publish('job-1', 110)
    await seen.count(41)
    expect(seen.told.filter((told) => told.startsWith('gap'))).toHaveLength(1)
  })

  test('history that was removed is told as a gap, to those who lack it', async () => {
    const stage = await Stage.start({ STREAM_MAX_AGE: '10s', STREAM_DEDUP_WINDOW: '1s' }) // the time in which the client has to read what is published later
    await stage.publish('job-1', 0, 10)
    const removed = async () => ((await (await fetch(stage.gateway.url('/api/novel/job-1/events'))).json()) as { count: number }).count === 0
    await until('the log forgets', removed)
    await stage.publish('job-1', 10, 5)
    const client = stage.client()
    const early = new Seen(client, 'job-1', { since: 1 })
    await early.state('live')
    expect(early.told).toEqual(['gap retention', 'caught-up'])
    expect(early.numbers).toEqual([10, 11, 12, 13, 14])
  })

  test('a page that nobody uses is disconnected, and connects again; one that says it is there is not', async () => {
    const stage = await Stage.start({ SOCKET_IDLE_TIMEOUT_MS: '5000' })
    const silent = new Seen(stage.client({ keepAliveMs: 0 }), 'job-1')
    const present = new Seen(stage.client({ keepAliveMs: 200 }), 'job-1')
    await Promise.all([silent.state('live'), present.state('live')])
    const ended = await silent.had('it is disconnected', ({ reason }) => reason?.code === 'IDLE_TIMEOUT')
    expect(ended).toMatchObject({ state: 'reconnecting', reason: { message: 'Disconnected due to inactivity.' } })
    await silent.state('live')
    await stage.publish('job-1', 0)
    await Promise.all([silent.count(1), present.count(1)])
    expect(present.states).not.toContain('reconnecting')
  })

  test('a gateway that is full says when to come back, and that is done', async () => {
    const stage = await Stage.start({ SOCKET_MAX_CONNECTIONS: '1' })
    const first = new Seen(stage.client(), 'job-1')
    await first.state('live')
    const client = stage.client()
    const second = new Seen(client, 'job-1')
    await second.state('refused')
    const { reason } = second.status
    expect(reason).toMatchObject({
      code: 'MAX_CONNECTIONS_EXCEEDED', message: 'Too many realtime connections. Please retry shortly.', limit: 1, current: 1,
    })
    expect(reason?.retryAfterMs).toBeGreaterThan(0)
    expect(reason?.retryAt).toBeGreaterThan(Date.now() - 5000)
    expect(client.status).toEqual(second.status)
    first.subscription.unsubscribe()
    await second.state('live')
    expect(Date.now()).toBeGreaterThanOrEqual((reason?.retryAt ?? Infinity) - 5)
    expect(second.states).toContain('refused')
  })

  test('an origin that is not allowed is not tried again by itself', async () => {
    const stage = await Stage.start({ SOCKET_CLIENT_ORIGIN: 'https://good.example' })
    const client = stage.client({ socketOptions: { extraHeaders: { Origin: 'https://bad.example' } } })
    const seen = new Seen(client, 'job-1')
    await seen.state('refused')
    expect(seen.status.reason).toEqual({ code: 'ORIGIN_NOT_ALLOWED', message: 'Origin not allowed' })
    const requests = stage.proxy.requests.length
    client.retry()
    await until('it is tried', () => stage.proxy.requests.length > requests)
    await seen.state('refused')
  })
})
