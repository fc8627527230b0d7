// @vitest-environment happy-dom
import { afterEach, describe, expect, test, vi } from 'vitest'
import { ready, Seen, Stage, until } from './support/stage.js'
import { token, tokenSettings } from './support/tokens.js'

afterEach(() => void vi.restoreAllMocks())

/** Makes the page seen or hidden, as the browser tells it. */
function show(state: DocumentVisibilityState): void {
  vi.spyOn(document, 'visibilityState', 'get').mockReturnValue(state)
  document.dispatchEvent(new Event('visibilitychange', { bubbles: true }))
}

// What the browser says about itself cannot be provoked here, so it is mocked.
describe.skipIf(!ready)('in a page', () => {
  test('one that is hidden stays disconnected for inactivity until it is looked at', async () => {
    const stage = await Stage.start({ SOCKET_IDLE_TIMEOUT_MS: '500' })
    const client = stage.client({ keepAliveMs: 0 })
    const seen = new Seen(client, 'job-1')
    await seen.state('live')
    show('hidden')
    await seen.state('idle')
    expect(seen.status.reason).toMatchObject({ code: 'IDLE_TIMEOUT', retryAt: undefined })
    await stage.publish('job-1', 0, 3)
    await until('the gateway has no connection', async () => (await stage.metrics()).totalConnections === 0)
    show('visible')
    await seen.count(3)
    await seen.state('live')
  })

  test('one without a network says so, and tries at once when it is back', async () => {
    const stage = await Stage.start()
    const client = stage.client({ reconnect: { minMs: 60_000, maxMs: 60_000 } })
    const seen = new Seen(client, 'job-1')
    await seen.state('live')
    const network = vi.spyOn(navigator, 'onLine', 'get').mockReturnValue(false)
    stage.proxy.mode = 'refused'
    stage.proxy.cut()
    await seen.state('offline')
    expect(seen.status.reason).toEqual({ code: 'BROWSER_OFFLINE', message: 'The browser has no network.' })
    stage.proxy.mode = 'open'
    network.mockReturnValue(true)
    window.dispatchEvent(new Event('online'))
    await seen.state('live')
  })

  for (const mode of ['open', 'websockets-refused'] as const) {
    for (const wake of ['visible', 'online', 'pageshow', 'resume'] as const) {
      test(`one that wakes (${wake}) with a dead connection finds that out soon (${mode})`, async () => {
        const stage = await Stage.start()
        stage.proxy.mode = mode
        const client = stage.client({ fallback: { afterMs: 50 } })
        const seen = new Seen(client, 'job-1')
        const transport = mode === 'open' ? 'websocket' : 'sse' // a stream may come before the socket
        await until(`it is live over ${transport}`, () => client.status.state === 'live' && client.status.transport === transport)
        stage.proxy.mute()
        await stage.publish('job-1', 0, 3)
        const states = seen.states.length
        const began = Date.now()
        if (wake === 'visible') show('hidden')
        if (wake === 'visible') show('visible')
        else if (wake === 'resume') document.dispatchEvent(new Event('resume'))
        else window.dispatchEvent(Object.assign(new Event(wake), { persisted: true }))
        await seen.count(3)
        await seen.state('live')
        expect(seen.numbers).toEqual([0, 1, 2])
        expect(Date.now() - began).toBeLessThan(30_000) // and not the 45 s of the heartbeat
        if (mode === 'open') expect(seen.states.slice(states)).toContain('reconnecting')
      })
    }
  }

  test('one that wakes with a dead stream finds that out while its socket is refused', async () => {
    const stage = await Stage.start({ SOCKET_MAX_CONNECTIONS: '1' })
    stage.proxy.mode = 'websockets-refused'
    const client = stage.client({ fallback: { afterMs: 50, maxSocketPauseMs: 200 } })
    const seen = new Seen(client, 'job-1')
    await seen.state('live')
    expect(seen.status.transport).toBe('sse')
    // An attempt that began before may fail without an answer of the gateway: on, not once.
    const refused = new Promise((resolve) => client.socket.on('connect_error', (error) => 'data' in error && resolve(error.data)))
    stage.proxy.mode = 'open' // the stream has the one place, and keeps it
    expect(await refused).toMatchObject({ code: 'MAX_CONNECTIONS_EXCEEDED' })
    stage.proxy.mute()
    stage.proxy.mode = 'websockets-refused'
    await stage.publish('job-1', 0, 3)
    show('hidden')
    show('visible')
    await seen.count(3)
    expect(seen.numbers).toEqual([0, 1, 2])
  })

  test('one that wakes with a connection that works stays live', async () => {
    const stage = await Stage.start()
    const client = stage.client()
    const seen = new Seen(client, 'job-1')
    await seen.state('live')
    const { id } = client.socket
    const pong = new Promise((resolve) => client.socket.once('pong', resolve))
    show('hidden')
    show('visible')
    window.dispatchEvent(new Event('online'))
    await pong
    await stage.publish('job-1', 0)
    await seen.count(1)
    expect(client.socket.id).toBe(id)
    await seen.state('live')
  })

  for (const wake of ['visible', 'online', 'retry'] as const) {
    test(`a token that never comes does not keep a wake (${wake}) from another attempt`, async () => {
      const stage = await Stage.start(tokenSettings)
      const signals: AbortSignal[] = []
      const client = stage.client({
        connectTimeoutMs: 60_000,
        auth: (_, signal) => (signals.push(signal) === 1 ? new Promise(() => {}) : token(600)),
      })
      const seen = new Seen(client, 'job-1')
      await until('the first token is asked for', () => signals.length === 1)
      if (wake === 'retry') client.retry()
      else if (wake === 'online') window.dispatchEvent(new Event('online'))
      else show('visible')
      await seen.state('live')
      expect(signals.map(({ aborted }) => aborted)[0]).toBe(true)
      expect(signals).toHaveLength(2)
    })
  }

  test('a status listener that throws disturbs nobody', async () => {
    const stage = await Stage.start()
    const diagnostics: string[] = []
    const client = stage.client({ onDiagnostic: ({ code }) => diagnostics.push(code) })
    client.onStatus(() => { throw new Error('mine') })
    await new Seen(client, 'job-1').state('live')
    await until('it is told', () => diagnostics.includes('handler-threw'))
  })
})
