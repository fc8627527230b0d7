import { describe, expect, test } from 'vitest'
import type { Diagnostic, Status } from '../src/index.js'
import type { Mode } from './support/proxy.js'
import { range, ready, Seen, Stage, until } from './support/stage.js'
import { token, tokenSettings } from './support/tokens.js'

const quick = { afterMs: 100, pollMs: 100, maxSocketPauseMs: 1000 }

describe.skipIf(!ready)('where sockets are blocked', () => {
  const ways: [Mode, number, string][] = [
    ['websockets-refused', 3, 'sse'],
    ['websockets-hang', 3, 'sse'],
    ['websockets-refused', 0, 'rest'],
    ['streams-hang', 3, 'rest'],
  ]
  for (const [mode, maxStreams, transport] of ways) {
    test(`${mode}, ${maxStreams} streams: ${transport}, and back, and nothing is lost or comes twice`, async () => {
      const stage = await Stage.start()
      await stage.publish('job-1', 0, 30)
      stage.proxy.mode = mode
      const diagnostics: Diagnostic[] = []
      // What hangs is given up soon; what answers may be slow.
      const connectTimeoutMs = { 'websockets-hang': 5000, 'streams-hang': 1000 }[mode as string] ?? 30_000
      const client = stage.client({ connectTimeoutMs, fallback: { ...quick, maxStreams }, onDiagnostic: (diagnostic) => diagnostics.push(diagnostic) })
      const seen = new Seen(client, 'job-1', { since: 0 })
      await seen.state('live')
      expect(seen.status.transport).toBe(transport)
      expect(client.status).toEqual(seen.status)
      expect(diagnostics).toEqual([{ code: 'fallback', jobId: 'job-1', transport }])
      await stage.publish('job-1', 30, 600)
      await seen.count(630)
      const late = new Seen(client, 'job-1')
      await late.count(250)
      stage.proxy.mode = 'open'
      await until('the socket is back', () => seen.status.transport === 'websocket' && seen.status.state === 'live')
      await stage.publish('job-1', 630, 10)
      await seen.count(640)
      stage.proxy.mode = mode
      stage.proxy.cut()
      await stage.publish('job-1', 640, 10)
      await until('it falls back again', () => seen.status.transport === transport && seen.status.state === 'live')
      await Promise.all([seen.count(650), late.count(270)])
      expect(seen.numbers).toEqual(range(650))
      expect(late.numbers).toEqual(range(650).slice(380))
      expect(seen.told.filter((told) => told !== 'caught-up')).toEqual([])
    })
  }

  test('an empty job, and one without since', async () => {
    const stage = await Stage.start({ SOCKET_CATCH_UP_LIMIT: '10' })
    await stage.publish('full', 0, 25)
    stage.proxy.mode = 'websockets-refused'
    for (const maxStreams of [3, 0]) {
      const client = stage.client({ fallback: { ...quick, maxStreams } })
      const full = new Seen(client, 'full')
      const empty = new Seen(client, `empty-${maxStreams}`)
      await Promise.all([full.state('live'), empty.state('live')])
      expect(full.numbers).toEqual(range(25).slice(15))
      await stage.publish(`empty-${maxStreams}`, 0, 3)
      await empty.count(3)
      expect(empty.numbers).toEqual(range(3))
      client.close()
    }
  })

  test('jobs beyond the streams are polled', async () => {
    const stage = await Stage.start()
    stage.proxy.mode = 'websockets-refused'
    const client = stage.client({ fallback: { ...quick, maxStreams: 1 } })
    const all = ['job-1', 'job-2', 'job-3'].map((jobId) => new Seen(client, jobId))
    await Promise.all(all.map((seen) => seen.state('live')))
    expect(all.map(({ status }) => status.transport)).toEqual(['sse', 'rest', 'rest'])
    expect((await stage.metrics()).totalConnections).toBe(1)
  })

  test('the gateway goes away and comes back', async () => {
    const stage = await Stage.start()
    stage.proxy.mode = 'websockets-refused'
    const seen = new Seen(stage.client({ fallback: quick, offlineAfterMs: 300 }), 'job-1')
    await seen.state('live')
    await stage.publish('job-1', 0, 10)
    await seen.count(10)
    await stage.gateway.kill()
    await seen.state('offline')
    await stage.gateway.start()
    await stage.publish('job-1', 10, 10)
    await seen.count(20)
    await seen.state('live')
    expect(seen.numbers).toEqual(range(20))
  })

  test('retry() checks a stream too', async () => {
    const stage = await Stage.start()
    stage.proxy.mode = 'websockets-refused'
    const client = stage.client({ fallback: quick })
    const seen = new Seen(client, 'job-1')
    await seen.state('live')
    expect(seen.status.transport).toBe('sse')
    stage.proxy.mute()
    await stage.publish('job-1', 0, 3)
    const began = Date.now()
    client.retry()
    await seen.count(3)
    expect(seen.numbers).toEqual([0, 1, 2])
    expect(Date.now() - began).toBeLessThan(30_000) // and not the 45 s of the heartbeat
  })

  test('a stream that does not answer after a wake is shown as being checked', async () => {
    const stage = await Stage.start()
    stage.proxy.mode = 'websockets-refused'
    const client = stage.client({ fallback: quick })
    const seen = new Seen(client, 'job-1')
    await seen.state('live')
    stage.proxy.mode = 'streams-hang'
    const checked = new Promise<Status>((resolve) => client.onStatus((status) => status.reason?.code === 'CHECKING' && resolve(status)))
    client.retry()
    expect(await checked).toMatchObject({ state: 'reconnecting' })
    expect(seen.states).toContain('reconnecting')
    stage.proxy.mode = 'websockets-refused'
    await seen.state('live')
    await stage.publish('job-1', 0)
    await seen.count(1)
  })

  test('tokens and refusals are the same', async () => {
    const stage = await Stage.start(tokenSettings)
    stage.proxy.mode = 'websockets-refused'
    await stage.publish('mine', 0, 3)
    let current = 'no token'
    const client = stage.client({ fallback: quick, auth: ({ code }) => (code ? (current = token(600, ['mine'])) : current) })
    const mine = new Seen(client, 'mine')
    const foreign = new Seen(client, 'foreign')
    await mine.count(3)
    await foreign.state('refused')
    expect(foreign.status.reason?.code).toBe('JOB_FORBIDDEN')
    expect(foreign.told).toEqual(['JOB_FORBIDDEN'])
    await mine.state('live')
  })

  test('without it nothing stands in', async () => {
    const stage = await Stage.start()
    stage.proxy.mode = 'websockets-refused'
    const seen = new Seen(stage.client({ fallback: false, offlineAfterMs: 300 }), 'job-1')
    await seen.state('offline')
    expect(stage.proxy.requests.every((path) => path.startsWith('/ws'))).toBe(true)
  })
})
