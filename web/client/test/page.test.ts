// @vitest-environment happy-dom
import { afterEach, describe, expect, test, vi } from 'vitest'
import { ready, Seen, Stage, until } from './support/stage.js'

afterEach(() => void vi.restoreAllMocks())

/** Makes the page seen or hidden, as the browser tells it. */
function show(state: DocumentVisibilityState): void {
  vi.spyOn(document, 'visibilityState', 'get').mockReturnValue(state)
  document.dispatchEvent(new Event('visibilitychange', { bubbles: true }))
}

// What the browser says about itself cannot be provoked here, so it is mocked.
describe.skipIf(!ready)('in a page', { timeout: 30_000 }, () => {
  test('one that is hidden stays disconnected for inactivity until it is looked at', async () => {
    const stage = await Stage.start({ SOCKET_IDLE_TIMEOUT_MS: '500' })
    const client = stage.client({ keepAliveMs: 0 })
    const seen = new Seen(client, 'job-1')
    await seen.state('live')
    show('hidden')
    await seen.state('idle')
    expect(seen.status.reason).toMatchObject({ code: 'IDLE_TIMEOUT', retryAt: undefined })
    await stage.publish('job-1', 0, 3)
    expect((await stage.metrics()).totalConnections).toBe(0)
    show('visible')
    await seen.count(3)
    await seen.state('live')
  })

  test('one without a network says so, and tries at once when it is back', async () => {
    const stage = await Stage.start()
    const client = stage.client({ fallback: false, reconnect: { minMs: 60_000, maxMs: 60_000 } })
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

  test('a status listener that throws disturbs nobody', async () => {
    const stage = await Stage.start()
    const diagnostics: string[] = []
    const client = stage.client({ onDiagnostic: ({ code }) => diagnostics.push(code) })
    client.onStatus(() => { throw new Error('mine') })
    await new Seen(client, 'job-1').state('live')
    await until('it is told', () => diagnostics.includes('handler-threw'))
  })
})
