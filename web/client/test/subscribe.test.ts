import { describe, expect, test } from 'vitest'
import type { Diagnostic } from '../src/index.js'
import { range, ready, Seen, Stage, until } from './support/stage.js'

describe.skipIf(!ready)('jobs are followed', () => {
  test('history in order, then live, with the status told on the way', async () => {
    const stage = await Stage.start()
    await stage.publish('job-1', 0, 300)
    const client = stage.client()
    const states: string[] = []
    client.onStatus(({ state }) => states.push(state))
    expect(client.status).toEqual({ state: 'idle' })
    const seen = new Seen(client, 'job-1', { since: 0 })
    expect(seen.status).toEqual({ state: 'connecting' })
    await seen.state('live')
    expect(seen.numbers).toEqual(range(300))
    expect(seen.states).toEqual(['connected', 'catching-up', 'live'])
    expect(states).toEqual(['connecting', 'connected', 'catching-up', 'live'])
    expect(seen.status).toEqual({ state: 'live', transport: 'websocket' })
    const [sequence] = await stage.publish('job-1', 300)
    await seen.count(301)
    expect(seen.live.map(({ kind }) => kind)).toEqual(['domain'])
    expect(seen.subscription.position).toEqual({ sequence, epoch: expect.any(String) })
    await stage.status('job-1', 'running', { chapter: 7 })
    await seen.count(302)
    expect(seen.events.at(-1)).toMatchObject({ kind: 'job-status', jobId: 'job-1', status: 'running', snapshot: { chapter: 7 } })
  })

  test('without since, the newest; with it, what follows', async () => {
    const stage = await Stage.start({ SOCKET_CATCH_UP_LIMIT: '5' })
    const sequences = await stage.publish('job-1', 0, 20)
    const client = stage.client()
    const newest = new Seen(client, 'job-1')
    await newest.state('live')
    expect(newest.numbers).toEqual([15, 16, 17, 18, 19])
    const after = new Seen(client, 'job-1', { since: sequences[7] as number })
    await after.state('live')
    expect(after.numbers).toEqual(range(20).slice(8))
    expect(newest.numbers).toEqual([15, 16, 17, 18, 19])
  })

  test('one socket for all, one subscription for a job, and each subscriber has the whole of it', async () => {
    const stage = await Stage.start()
    await stage.publish('job-1', 0, 100)
    const client = stage.client()
    const first = new Seen(client, 'job-1')
    const other = new Seen(client, 'job-2')
    const same = new Seen(client, 'job-1') // before the first has an answer
    await Promise.all([first.state('live'), other.state('live'), same.state('live')])
    const late = new Seen(client, 'job-1')
    await stage.publish('job-1', 100, 50)
    await Promise.all([first, same, late].map((seen) => seen.count(150)))
    for (const seen of [first, same, late]) expect(seen.numbers).toEqual(range(150))
    expect(await stage.metrics()).toMatchObject({ totalConnections: 1, totalSubscriptions: 2, subscribersPerJob: { 'job-1': 1, 'job-2': 1 } })
    first.subscription.unsubscribe()
    same.subscription.unsubscribe()
    await stage.publish('job-1', 150)
    await late.count(151)
    expect(first.numbers).toEqual(range(150))
    expect(first.subscription.status).toEqual({ state: 'idle' })
    late.subscription.unsubscribe()
    late.subscription.unsubscribe()
    await until('the job is left', async () => (await stage.metrics()).totalSubscriptions === 1)
    other.subscription.unsubscribe()
    await until('the socket is gone', async () => (await stage.metrics()).totalConnections === 0)
    expect(client.status).toEqual({ state: 'idle' })
    const again = new Seen(client, 'job-1')
    await again.count(151)
    expect(again.numbers).toEqual(range(151))
  })

  test('subscribers come and go in the middle of a stream, and none misses anything', async () => {
    const stage = await Stage.start({ SOCKET_CATCH_UP_LIMIT: '10000' })
    const client = stage.client()
    const all: Seen[] = [new Seen(client, 'job-1')]
    let published = 0
    for (let round = 0; round < 30; round++) {
      const batch = stage.publish('job-1', published, 20)
      published += 20
      // Left and followed again at once: what is still on its way answers the one before.
      const short = new Seen(client, 'job-1')
      if (round % 3 === 0) for (const { subscription } of all.splice(0)) subscription.unsubscribe()
      short.subscription.unsubscribe()
      all.push(new Seen(client, 'job-1'))
      await batch
    }
    await Promise.all(all.map((seen) => seen.count(published)))
    for (const seen of all) expect(seen.numbers).toEqual(range(published))
  })

  test('those who want the newest, all, or what follows are served together, whoever comes first', async () => {
    const stage = await Stage.start({ SOCKET_CATCH_UP_LIMIT: '5' })
    for (let order = 0; order < 12; order++) {
      const jobId = `job-${order}`
      const sequences = await stage.publish(jobId, 0, 40)
      const client = stage.client()
      if (order >= 6) await new Seen(client, 'other').state('live') // a connection is there
      const starts = [undefined, 0, sequences[19] as number].map((since) => ({ since, seen: undefined as Seen | undefined }))
      if (order % 2) starts.reverse()
      starts.push(...starts.splice(0, order % 3))
      for (const start of starts) start.seen = new Seen(client, jobId, start.since === undefined ? {} : { since: start.since })
      await stage.publish(jobId, 40, 10)
      for (const { since, seen } of starts as { since: number | undefined; seen: Seen }[]) {
        await until(`${jobId} since ${since} ends with the last`, () => seen.numbers.at(-1) === 49)
        const first = since === undefined ? (seen.numbers[0] as number) : since === 0 ? 0 : 20
        expect(seen.numbers, `${jobId} since ${since}`).toEqual(range(50).slice(first))
        if (since === undefined) expect(first).toBeGreaterThanOrEqual(35)
      }
      client.close()
    }
  })

  test('a handler that throws or unsubscribes takes nothing from the others', async () => {
    const stage = await Stage.start()
    await stage.publish('job-1', 0, 10)
    const diagnostics: Diagnostic[] = []
    const client = stage.client({ onDiagnostic: (diagnostic) => diagnostics.push(diagnostic) })
    const thrower = new Seen(client, 'job-1', { onEvent: () => { throw new Error('mine') } })
    const leaver: Seen = new Seen(client, 'job-1', { onEvent: () => leaver.subscription.unsubscribe() })
    const third = new Seen(client, 'job-1')
    await third.count(10)
    expect(thrower.events).toHaveLength(10)
    expect(leaver.events).toHaveLength(1)
    expect(diagnostics).toHaveLength(10)
    expect(diagnostics[0]).toMatchObject({ code: 'handler-threw', jobId: 'job-1' })
  })

  test('the cap on subscriptions meets the subscription that exceeds it, until there is room', async () => {
    const stage = await Stage.start({ SOCKET_MAX_SUBSCRIPTIONS_PER_CLIENT: '2' })
    const client = stage.client()
    const [first, second, third] = ['job-1', 'job-2', 'job-3'].map((jobId) => new Seen(client, jobId)) as [Seen, Seen, Seen]
    await third.state('refused')
    expect(third.status.reason).toEqual({
      code: 'SUBSCRIPTION_LIMIT_REACHED', message: 'Subscription limit reached for this connection.', limit: 2, current: 2,
    })
    expect(third.told).toEqual(['SUBSCRIPTION_LIMIT_REACHED'])
    await Promise.all([first.state('live'), second.state('live')])
    expect(client.status.state).toBe('live')
    first.subscription.unsubscribe()
    await third.state('live')
    await stage.publish('job-3', 0)
    await third.count(1)
  })

  test('a request that can never be granted is refused for good', async () => {
    const stage = await Stage.start()
    const client = stage.client()
    const empty = new Seen(client, '')
    await empty.state('refused')
    expect(empty.status.reason).toEqual({ code: 'JOB_ID_REQUIRED', message: 'jobId is required to subscribe.' })
    const long = new Seen(client, 'x'.repeat(257))
    await long.state('refused')
    expect(long.status.reason?.code).toBe('JOB_ID_INVALID')
  })

  test('any jobId, and a page over HTTP', async () => {
    const stage = await Stage.start()
    const jobId = 'job/ü?.*> &#'
    const sequences = await stage.publish(jobId, 0, 7)
    const client = stage.client()
    const seen = new Seen(client, jobId)
    await seen.count(7)
    expect(await client.events(jobId)).toEqual(seen.events.toReversed())
    expect(await client.events(jobId, { since: sequences[4] as number, limit: 1 })).toEqual([seen.events[5]])
    await expect(client.events(jobId, { before: 'yesterday' })).rejects.toMatchObject({ status: 400, problem: { code: 'INVALID_QUERY' } })
    stage.proxy.mode = 'refused'
    stage.proxy.cut()
    await expect(client.events(jobId)).rejects.toMatchObject({ name: 'RequestError', status: 0 })
  })

  test('a closed client takes no subscriptions', async () => {
    const stage = await Stage.start()
    const client = stage.client()
    const seen = new Seen(client, 'job-1')
    await seen.state('live')
    client.close()
    expect(seen.subscription.status).toEqual({ state: 'idle' })
    await until('the socket is gone', async () => (await stage.metrics()).totalConnections === 0)
    expect(() => client.subscribeJob('job-1', {})).toThrow('closed')
  })
})
