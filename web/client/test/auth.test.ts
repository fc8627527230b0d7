import { describe, expect, test } from 'vitest'
import type { AuthContext, Diagnostic } from '../src/index.js'
import { range, ready, Seen, Stage, until } from './support/stage.js'
import { token, tokenSettings } from './support/tokens.js'

describe.skipIf(!ready)('tokens', () => {
  test('are brought with every connection and request', async () => {
    const stage = await Stage.start(tokenSettings)
    await stage.publish('job-1', 0, 3)
    const client = stage.client({ auth: token(600) })
    const seen = new Seen(client, 'job-1')
    await seen.count(3)
    expect(await client.events('job-1')).toHaveLength(3)
    stage.proxy.cut()
    await stage.publish('job-1', 3)
    await seen.count(4)
    expect(seen.numbers).toEqual(range(4))
  })

  test('are renewed when the server says that they expire, and the connection stays', async () => {
    const stage = await Stage.start(tokenSettings)
    const asked: AuthContext[] = []
    const client = stage.client({
      auth: (context) => {
        asked.push(context)
        // The first one expires at once, in the gateway's terms: 30 s before the end of its grace.
        return token(asked.length === 1 ? 0 : 600)
      },
    })
    const seen = new Seen(client, 'job-1')
    await until('it is renewed', () => asked.length === 2)
    await seen.state('live')
    const { id } = client.socket
    expect(asked).toEqual([{}, { code: 'TOKEN_EXPIRING' }])
    await stage.publish('job-1', 0)
    await seen.count(1)
    expect(client.socket.id).toBe(id)
    expect(seen.states).not.toContain('reconnecting')
  })

  test('that end are replaced, and the subscription goes on', async () => {
    const stage = await Stage.start(tokenSettings)
    const asked: AuthContext[] = []
    const diagnostics: Diagnostic[] = []
    const client = stage.client({
      auth: (context) => {
        asked.push(context)
        if (context.code === 'TOKEN_EXPIRING') throw new Error('the issuer is away')
        return token(context.code === undefined ? -20 : 600)
      },
      onDiagnostic: (diagnostic) => diagnostics.push(diagnostic),
    })
    const seen = new Seen(client, 'job-1')
    await stage.publish('job-1', 0, 3)
    await seen.count(3)
    await until('it ends', () => asked.some(({ code }) => code === 'TOKEN_EXPIRED'))
    await stage.publish('job-1', 3)
    await seen.count(4)
    expect(seen.numbers).toEqual(range(4))
    expect(diagnostics[0]).toMatchObject({ code: 'auth-failed' })
    // A renewal that failed is tried again until the token has ended.
    const codes = asked.map(({ code }) => code).filter((code, at, all) => at === 0 || code !== all[at - 1])
    expect(codes).toEqual([undefined, 'TOKEN_EXPIRING', 'TOKEN_EXPIRED'])
  })

  test('that do not count are replaced once, and then the state is refused', async () => {
    const stage = await Stage.start(tokenSettings)
    const asked: AuthContext[] = []
    const client = stage.client({
      auth: (context) => {
        asked.push(context)
        return 'no token'
      },
    })
    const seen = new Seen(client, 'job-1')
    await seen.state('refused')
    expect(seen.status.reason).toEqual({ code: 'TOKEN_INVALID', message: 'The token is not valid.' })
    expect(asked).toEqual([{}, { code: 'TOKEN_INVALID' }])
    const none = new Seen(stage.client(), 'job-1')
    await none.state('refused')
    expect(none.status.reason?.code).toBe('TOKEN_REQUIRED')
  })

  test('that cannot be had are asked for again', async () => {
    const stage = await Stage.start(tokenSettings)
    let times = 0
    const client = stage.client({
      auth: async () => {
        if (++times < 3) throw new Error('the issuer is away')
        return token(600)
      },
    })
    const seen = new Seen(client, 'job-1')
    const failed = await seen.had('no token can be had', ({ reason }) => reason?.code === 'AUTH_FAILED')
    expect(failed.reason?.retryAfterMs).toBeDefined()
    await seen.state('live')
    expect(times).toBe(3)
  })

  test('that never come are given up in time, with the signal, and asked for again', async () => {
    const stage = await Stage.start(tokenSettings)
    const signals: AbortSignal[] = []
    const diagnostics: Diagnostic[] = []
    const client = stage.client({
      connectTimeoutMs: 3000,
      auth: (_, signal) => (signals.push(signal) <= 2 ? new Promise(() => {}) : token(600)),
      onDiagnostic: (diagnostic) => diagnostics.push(diagnostic),
    })
    const seen = new Seen(client, 'job-1')
    const page = client.events('job-1') // has a token of its own to wait for
    await expect(page).rejects.toThrow('no answer in time')
    await until('it is told', () => diagnostics.some(({ code }) => code === 'auth-failed'))
    await seen.state('live')
    expect(signals[0]?.aborted).toBe(true)
    expect(await client.events('job-1')).toEqual([])
  })

  test('that lack a job have it refused, and the others stay', async () => {
    const stage = await Stage.start(tokenSettings)
    let renew = () => {}
    const live = new Promise<void>((resolve) => {
      renew = resolve
    })
    const client = stage.client({
      auth: async ({ code }) => {
        if (!code) return token(0, ['mine/*', 'lent']) // to be renewed at once
        await live
        return token(600, ['mine/*'])
      },
    })
    const mine = new Seen(client, 'mine/1')
    const lent = new Seen(client, 'lent')
    const foreign = new Seen(client, 'foreign')
    await foreign.state('refused')
    expect(foreign.status.reason).toEqual({ code: 'JOB_FORBIDDEN', message: 'The token does not allow this job.' })
    expect(foreign.told).toEqual(['JOB_FORBIDDEN'])
    await Promise.all([mine.state('live'), lent.state('live')])
    renew()
    await lent.state('refused')
    expect(lent.told).toEqual(['caught-up', 'JOB_FORBIDDEN'])
    await stage.publish('mine/1', 0)
    await mine.count(1)
    expect(client.status.state).toBe('live')
    await expect(client.events('foreign')).rejects.toMatchObject({ status: 403, problem: { code: 'JOB_FORBIDDEN' } })
  })
})
