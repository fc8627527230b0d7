// @vitest-environment happy-dom
import { rmSync } from 'node:fs'
import { cleanup, render } from '@testing-library/react'
import { StrictMode, type ReactNode } from 'react'
import { renderToString } from 'react-dom/server'
import { afterEach, describe, expect, test } from 'vitest'
import { createRealtime, type Diagnostic, type JobEvent, type JobHandlers, type Realtime } from '../src/index.js'
import { type JobEvents, type JobStatus, RealtimeProvider, useJobEvents, useJobStatus, useRealtime, useRealtimeStatus } from '../src/react/index.js'
import { JobStore } from '../src/react/store.js'
import { range, ready, Stage, until } from './support/stage.js'

afterEach(cleanup)

/** What a component got at its last render, and how often it was rendered. */
interface Shown {
  events: JobEvents
  job: JobStatus
  renders: number
}

function Page({ jobId, shown, onEvent, limit }: { jobId: string | undefined; shown: Shown; limit?: number; onEvent?: (event: JobEvent, context: { replayed: boolean }) => void }) {
  shown.events = useJobEvents(jobId, { ...(onEvent && { onEvent }), ...(limit !== undefined && { limit }) })
  shown.job = useJobStatus(jobId)
  shown.renders++
  return <p>{useRealtimeStatus().state}</p>
}

const page = (client: Realtime, child: ReactNode) => (
  <StrictMode>
    <RealtimeProvider client={client}>{child}</RealtimeProvider>
  </StrictMode>
)
const nothing = () => ({ renders: 0 }) as Shown
const numbers = ({ events }: Shown) => events.events.map((event) => (event.kind === 'domain' ? event.event['n'] : event.kind))

test('a handler that another handler removes is not called any more', () => {
  let handlers: JobHandlers = {}
  const client = { subscribeJob: (_: string, given: JobHandlers) => ((handlers = given), { status: { state: 'live' } }) } as unknown as Realtime
  const store = new JobStore(client, 'job-1')
  const told: string[] = []
  let remove = () => {}
  store.onEvent({ handler: () => (told.push('first'), remove()), store: undefined, count: 0 })
  remove = store.onEvent({ handler: () => told.push('second'), store: undefined, count: 0 })
  handlers.onEvent?.({ kind: 'other', name: 'x', jobId: 'job-1', emittedAt: '', sequence: 1 }, { replayed: false })
  expect(told).toEqual(['first'])
})

describe.skipIf(!ready)('hooks', () => {
  test('show history, then what happens, with one subscription in StrictMode, and leave the job', async () => {
    const stage = await Stage.start()
    await stage.publish('job-1', 0, 20)
    await stage.status('job-1', 'running', { chapter: 3 })
    const client = stage.client()
    const [shown, other] = [nothing(), nothing()]
    const told: JobEvent[] = []
    const { container, unmount } = render(page(client, <><Page jobId="job-1" shown={shown} onEvent={(event) => told.push(event)} /><Page jobId="job-1" shown={other} limit={2} /></>))
    await until('it is live', () => shown.events.status.state === 'live' && shown.events.events.length === 21)
    expect(numbers(shown)).toEqual([...range(20), 'job-status'])
    expect(numbers(other)).toEqual([19, 'job-status'])
    expect(shown.job).toMatchObject({ state: 'running', snapshot: { chapter: 3 }, status: { state: 'live' } })
    expect(container.textContent).toBe('livelive')
    expect(await stage.metrics()).toMatchObject({ totalConnections: 1, totalSubscriptions: 1 })
    expect(told).toHaveLength(21)
    await stage.status('job-1', 'completed')
    await until('the status follows', () => shown.job.state === 'completed' && other.job.state === 'completed')
    expect(shown.job.snapshot).toBeNull()
    unmount()
    await until('the job is left', async () => (await stage.metrics()).totalConnections === 0)
    expect(client.status.state).toBe('idle')
  })

  test('a burst is a few renders, and what is kept is bounded', async () => {
    const stage = await Stage.start()
    await stage.publish('job-1', 0, 1000)
    await stage.publish('job-1', 1000, 500)
    const shown = nothing()
    const client = stage.client()
    const seed = client.subscribeJob('job-1', { since: 0 }) // so that the whole is replayed to whoever comes
    const told: JobEvent[] = []
    render(page(client, <Page jobId="job-1" shown={shown} onEvent={(event) => told.push(event)} />))
    await until('it is live', () => shown.events.status.state === 'live' && numbers(shown).at(-1) === 1499)
    const before = shown.renders
    await stage.publish('job-1', 1500, 1000)
    await until('all is there', () => numbers(shown).at(-1) === 2499)
    expect(numbers(shown)).toEqual(range(2500).slice(1500))
    expect(shown.renders - before).toBeLessThan(400) // two for each flush, in StrictMode
    expect(told.length).toBeGreaterThanOrEqual(1250)
    seed.unsubscribe()
  })

  test('a handler that throws takes nothing from other components, and a limit of 0 is none', async () => {
    const stage = await Stage.start()
    await stage.publish('job-1', 0, 3)
    const diagnostics: Diagnostic[] = []
    const client = stage.client({ onDiagnostic: (diagnostic) => diagnostics.push(diagnostic) })
    const [first, second, none] = [nothing(), nothing(), nothing()]
    const told: JobEvent[] = []
    const fail = () => { throw new Error('mine') }
    render(page(client, <><Page jobId="job-1" shown={first} onEvent={fail} /><Page jobId="job-1" shown={second} limit={2} onEvent={(event) => told.push(event)} /><Page jobId="job-1" shown={none} limit={0} /></>))
    await until('it is live', () => first.events.status.state === 'live' && first.events.events.length === 3)
    expect(told).toHaveLength(3)
    expect([second.events.events.length, none.events.events.length]).toEqual([2, 0])
    expect(diagnostics.filter(({ code }) => code === 'handler-threw')).toHaveLength(3)
  })

  test('a component that comes later is told each event once, in StrictMode too', async () => {
    const stage = await Stage.start()
    await stage.publish('job-1', 0, 3)
    const client = stage.client()
    const [early, late] = [nothing(), nothing()]
    const told: [unknown, boolean][] = []
    const tell = (event: JobEvent, { replayed }: { replayed: boolean }) => told.push([event.kind === 'domain' && event.event['n'], replayed])
    const pages = (mounted: boolean) => page(client, <><Page jobId="job-1" shown={early} />{mounted && <Page jobId="job-1" shown={late} onEvent={tell} />}</>)
    const { rerender } = render(pages(false))
    await until('it is live', () => early.events.status.state === 'live' && early.events.events.length === 3)
    rerender(pages(true))
    expect(told).toEqual([[0, true], [1, true], [2, true]])
    await stage.publish('job-1', 3)
    await until('it follows', () => told.length > 3)
    expect(told.slice(3)).toEqual([[3, false]])
    rerender(pages(false))
    rerender(pages(true)) // another component
    expect(told.slice(4).map(([n]) => n)).toEqual([0, 1, 2, 3])
  })

  test('another job, and none', async () => {
    const stage = await Stage.start()
    await stage.publish('job-1', 0, 3)
    await stage.publish('job-2', 10, 3)
    const client = stage.client()
    const shown = nothing()
    const { rerender } = render(page(client, <Page jobId="job-1" shown={shown} />))
    await until('it is there', () => numbers(shown).length === 3)
    rerender(page(client, <Page jobId="job-2" shown={shown} />))
    await until('the other is there', () => numbers(shown)[0] === 10 && numbers(shown).length === 3)
    rerender(page(client, <Page jobId={undefined} shown={shown} />))
    expect(shown.events).toMatchObject({ events: [], status: { state: 'idle' } })
    rerender(page(client, <Page jobId="job-2" shown={shown} />)) // soon enough to find it as it was
    expect(numbers(shown)).toEqual([10, 11, 12])
  })

  test('a break is filled, and another log begins anew', async () => {
    const stage = await Stage.start()
    const shown = nothing()
    render(page(stage.client(), <Page jobId="job-1" shown={shown} />))
    await until('it is live', () => shown.events.status.state === 'live')
    await stage.publish('job-1', 0, 10)
    stage.proxy.cut()
    await stage.publish('job-1', 10, 10)
    await until('it is filled', () => numbers(shown).length >= 20)
    expect(numbers(shown)).toEqual(range(20))
    await stage.gateway.kill()
    await until('it is noticed', () => shown.events.status.state === 'reconnecting')
    rmSync(stage.dataDir, { recursive: true })
    await stage.gateway.start()
    await until('it is told', () => shown.events.gap?.reason === 'epoch-changed')
    await stage.publish('job-1', 50, 2)
    await until('the new log is there', () => numbers(shown).length === 2)
    expect(numbers(shown)).toEqual([50, 51])
  })

  test('the page of a refused job says so', async () => {
    const stage = await Stage.start()
    const shown = nothing()
    render(page(stage.client(), <Page jobId="" shown={shown} />))
    await until('it is refused', () => shown.events.status.state === 'refused')
    expect(shown.events.status.reason?.code).toBe('JOB_ID_REQUIRED')
  })
})

test('on a server nothing is followed', () => {
  const shown = nothing()
  const client = createRealtime({ url: 'http://127.0.0.1:1' })
  expect(renderToString(page(client, <Page jobId="job-1" shown={shown} />))).toBe('<p>idle</p>')
  expect(client.status.state).toBe('idle')
})

test('without a provider the hooks say what is missing', () => {
  const Lost = () => <>{String(useRealtime())}</>
  expect(() => renderToString(<Lost />)).toThrow('<RealtimeProvider>')
})
