import { describe, expect, test } from 'vitest'
import type { RealtimeOptions } from '../src/index.js'
import { ready, Seen, Stage } from './support/stage.js'

/** What a URL keeps in its path, and what browsers and proxies take out of it or take apart. */
const jobIds = ['job-1', '.', '..', '%2e', 'team-1/x', 'a b?c#d&e']

const ways: Record<string, { mode: 'open' | 'websockets-refused'; options: RealtimeOptions }> = {
  websocket: { mode: 'open', options: {} },
  polling: { mode: 'open', options: { transports: ['polling'] } },
  sse: { mode: 'websockets-refused', options: { fallback: { afterMs: 20, maxStreams: jobIds.length } } },
  rest: { mode: 'websockets-refused', options: { fallback: { afterMs: 20, maxStreams: 0, pollMs: 50 } } },
}

describe.skipIf(!ready)('a base URL with a path serves sockets, streams and pages of every jobId', () => {
  for (const [via, { mode, options }] of Object.entries(ways)) {
    for (const slash of ['', '/']) {
      test(`over ${via}${slash && ', with a slash at its end'}`, async () => {
        const stage = await Stage.start({ BASE_PATH: '/rt' })
        stage.proxy.mode = mode
        const client = stage.client({ ...options, url: `${stage.proxy.url}/rt${slash}` })
        for (const jobId of jobIds) await stage.publish(jobId, 0, 2)
        const all = jobIds.map((jobId) => new Seen(client, jobId))
        for (const seen of all) {
          await seen.state('live')
          expect(seen.status.transport, seen.jobId).toBe(via)
          await stage.publish(seen.jobId, 2)
          await seen.count(3)
          expect(seen.events.map(({ jobId }) => jobId)).toEqual([seen.jobId, seen.jobId, seen.jobId])
          expect((await client.events(seen.jobId)).map(({ jobId }) => jobId)).toEqual([seen.jobId, seen.jobId, seen.jobId])
        }
        expect(stage.proxy.requests.filter((path) => !path.startsWith('/rt/') || path.startsWith('/rt//'))).toEqual([])
      })
    }
  }
})
