// @vitest-environment happy-dom
import { rmSync } from 'node:fs'
import { QueryClient, QueryClientProvider, type UseQueryResult } from '@tanstack/react-query'
import { cleanup, render } from '@testing-library/react'
import { StrictMode } from 'react'
import { afterEach, describe, expect, onTestFinished, test } from 'vitest'
import type { JobEvent, JobStatusEvent, Realtime } from '../src/index.js'
import { RealtimeProvider } from '../src/react/index.js'
import { jobKeys, laterStatus, mergeEvents, useJobEventsQuery, useJobStatusQuery } from '../src/react-query/index.js'
import { mergePage } from '../src/react-query/merge.js'
import { range, ready, Stage, until } from './support/stage.js'

afterEach(cleanup)

interface Shown {
  events: UseQueryResult<readonly JobEvent[]>
  job: UseQueryResult<JobStatusEvent | null>
}

function Page({ shown }: { shown: Shown }) {
  shown.events = useJobEventsQuery('job-1')
  shown.job = useJobStatusQuery('job-1')
  return null
}

function show(client: Realtime, queries: QueryClient): Shown {
  const shown = {} as Shown
  render(
    <StrictMode>
      <QueryClientProvider client={queries}>
        <RealtimeProvider client={client}><Page shown={shown} /></RealtimeProvider>
      </QueryClientProvider>
    </StrictMode>,
  )
  return shown
}

const numbers = ({ events }: Shown) => (events.data ?? []).flatMap((event) => (event.kind === 'domain' ? [event.event['n']] : []))

function cache(): QueryClient {
  const queries = new QueryClient({ defaultOptions: { queries: { retryDelay: 50 } } })
  onTestFinished(() => queries.clear())
  return queries
}

describe.skipIf(!ready)('jobs in the cache of react-query', () => {
  test('are fetched, then live, and not fetched again while they are', async () => {
    const stage = await Stage.start()
    await stage.publish('job-1', 0, 30)
    await stage.status('job-1', 'running')
    const queries = cache()
    const client = stage.client()
    const shown = show(client, queries)
    await until('it is live', () => client.status.state === 'live' && numbers(shown).length === 30 && shown.job.data?.status === 'running')
    await stage.publish('job-1', 30, 10)
    await stage.status('job-1', 'completed')
    await until('it follows', () => numbers(shown).length === 40 && shown.job.data?.status === 'completed')
    expect(numbers(shown)).toEqual(range(40))
    expect(shown.events.isStale).toBe(false)
    const fetches = () => stage.proxy.requests.filter((path) => path.startsWith('/api/novel/')).length
    const before = fetches()
    const again = show(client, queries) // another page, mounted while the first is live
    expect(numbers(again)).toEqual(range(40))
    stage.proxy.cut()
    await stage.publish('job-1', 40, 5)
    await until('the break is filled', () => numbers(shown).length >= 45)
    expect(numbers(shown)).toEqual(range(45))
    expect(fetches()).toBe(before)
    await until('the connection that was cut is gone', async () => (await stage.metrics()).totalSubscriptions === 1)
  })

  test('a gap makes them be fetched again, and another log drops what they had', async () => {
    const stage = await Stage.start()
    await stage.publish('job-1', 0, 30)
    const client = stage.client()
    const shown = show(client, cache())
    await until('it is live', () => client.status.state === 'live' && numbers(shown).length === 30)
    await stage.gateway.kill()
    rmSync(stage.dataDir, { recursive: true })
    await stage.gateway.start()
    await stage.publish('job-1', 70, 3)
    await until('the new log is there', () => numbers(shown).length === 3)
    expect(numbers(shown)).toEqual([70, 71, 72])
    await until('it was fetched', () => stage.proxy.requests.filter((path) => path.startsWith('/api/novel/job-1/')).length > 2)
  })

  test('what is cached of another log is dropped, not gone on from', async () => {
    const old = { kind: 'domain', jobId: 'job-1', emittedAt: '', sequence: 3, epoch: 'an-old-one', event: { type: 'step', occurredAt: '', n: 99 } }
    const stage = await Stage.start()
    await stage.publish('job-1', 0, 5)
    const queries = cache()
    queries.setQueryData(jobKeys.events('job-1'), [old])
    const client = stage.client()
    const shown = show(client, queries)
    await until('it is live', () => client.status.state === 'live' && numbers(shown).length === 5)
    expect(numbers(shown)).toEqual(range(5))
  })

  test('the keys of a job have a common beginning', () => {
    expect(jobKeys.events('a').slice(0, 3)).toEqual(jobKeys.job('a'))
    expect(jobKeys.status('a')).toEqual(['realtime', 'jobs', 'a', 'status'])
  })
})

describe('lists of events', () => {
  const event = (sequence: number | undefined, id = '') => ({ kind: 'other', name: 'x', jobId: 'j', emittedAt: '', id, ...(sequence && { sequence }) }) as JobEvent
  const list = (...sequences: number[]) => sequences.map((sequence) => event(sequence))
  const sequences = (events: readonly JobEvent[]) => events.map(({ sequence }) => sequence)

  test('are guarded by sequence', () => {
    const before = list(2, 5, 9)
    expect(mergeEvents(before, [])).toBe(before)
    expect(mergeEvents(before, list(5))).toBe(before)
    expect(sequences(mergeEvents(before, list(12, 15)))).toEqual([2, 5, 9, 12, 15])
    expect(sequences(mergeEvents(before, list(1, 2, 7, 9, 11)))).toEqual([1, 2, 5, 7, 9, 11])
    expect(sequences(mergeEvents([], list(3, 3, 4)))).toEqual([3, 4])
    expect(mergeEvents([event(undefined, 'a')], [event(undefined, 'a'), event(undefined, 'b'), event(4)]).map(({ id }) => id)).toEqual(['a', 'b', ''])
  })

  test('of two logs are not put together, and the later log counts', () => {
    const of = (epoch: string, ...all: number[]) => list(...all).map((event) => ({ ...event, epoch }))
    expect(mergeEvents(of('e1', 2, 5, 9), of('e2', 9))).toEqual(of('e2', 9))
    expect(mergeEvents(of('e1', 2, 5), of('e1', 5, 9))).toEqual(of('e1', 2, 5, 9))
    expect(mergeEvents([...list(7), ...of('e1', 9)], of('e1', 10))).toEqual(of('e1', 9, 10)) // nobody knows which log 7 is of
    expect(mergeEvents([event(undefined, 'a')], of('e1', 1)).map(({ id }) => id)).toEqual(['a', ''])
    const status = (epoch: string, sequence: number) => ({ kind: 'job-status', sequence, epoch }) as unknown as JobStatusEvent
    expect(laterStatus(status('e1', 9), status('e2', 3))).toEqual(status('e2', 3))
    expect(laterStatus(status('e1', 9), status('e1', 3))).toEqual(status('e1', 9))
  })

  test('have no hole before a page that begins after their end', () => {
    const before = list(2, 5, 9)
    expect(sequences(mergePage(before, list(12, 15)))).toEqual([12, 15])
    expect(sequences(mergePage(before, list(9, 12)))).toEqual([2, 5, 9, 12])
    expect(sequences(mergePage(before, list(5)))).toEqual([2, 5, 9]) // live events came meanwhile
    expect(mergePage(before, [])).toBe(before)
    expect(mergePage(before, [event(undefined, 'a'), event(12)]).map(({ sequence }) => sequence)).toEqual([undefined, 2, 5, 9, 12])
  })

  test('keep the newest thousand', () => {
    const many = mergeEvents([], range(1500).map((n) => event(n + 1)))
    expect([many.length, many[0]?.sequence]).toEqual([1000, 501])
  })

  test('an earlier status does not replace a later one', () => {
    const status = (sequence: number | undefined) => ({ kind: 'job-status', sequence }) as JobStatusEvent
    expect(laterStatus(status(5), status(3)).sequence).toBe(5)
    expect(laterStatus(status(5), status(8)).sequence).toBe(8)
    expect(laterStatus(status(5), status(undefined)).sequence).toBe(5)
    expect(laterStatus(null, status(undefined)).sequence).toBeUndefined()
    const unlogged = status(undefined) // of an older writer: the later one counts
    expect(laterStatus(status(undefined), unlogged)).toBe(unlogged)
  })
})
