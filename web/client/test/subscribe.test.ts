import { describe, expect, test } from 'vitest'
import { range, ready, Seen, Stage, until } from './support/stage.js'

describe.skipIf(!ready)('a job is followed', { timeout: 60_000 }, () => {
  test('history in order, then live, with the status told on the way', async () => {
    const stage = await Stage.start()
    await stage.publish('job-1', 0, 300)
    const seen = new Seen(stage.client(), 'job-1', { since: 0 })
    await seen.state('live')
    expect(seen.numbers).toEqual(range(300))
    expect(seen.states).toEqual(['connected', 'catching-up', 'live'])
    expect(seen.status).toEqual({ state: 'live', transport: 'websocket' })
    await stage.publish('job-1', 300)
    await seen.count(301)
    expect(seen.live.map(({ kind }) => kind)).toEqual(['domain'])
  })

  test('cut again and again, nothing is lost and nothing comes twice', async () => {
    const stage = await Stage.start()
    const seen = new Seen(stage.client(), 'job-1')
    for (let round = 0; round < 10; round++) {
      await stage.publish('job-1', round * 20, 20)
      stage.proxy.cut()
    }
    await seen.count(200)
    await until('it is live', () => seen.status.state === 'live')
    expect(seen.numbers).toEqual(range(200))
  })
})
