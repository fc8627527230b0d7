// @vitest-environment happy-dom
import { cleanup, fireEvent, render, screen } from '@testing-library/react'
import { afterEach, expect, test, vi } from 'vitest'
import { Erase } from '../src/views/erase.js'
import { Replay } from '../src/views/replay.js'
import { Work } from '../src/views/work.js'
import { Gateway } from './support/gateway.js'

afterEach(() => {
  cleanup()
  vi.unstubAllGlobals()
  location.hash = ''
})

const work = (id: string, more: object) => ({
  id, kind: 'k', target: 'job/job-x', by: 'operate', from: '127.0.0.1', gateway: 'one', state: 'done', beganAt: '2026-01-01T00:00:00Z', until: '2026-01-01T00:00:00Z', done: 0, total: 0, ...more,
})
const patience = { timeout: 30_000 }

test('a replay is counted first, and what was counted is what is sent', async () => {
  const summary = { events: 12, bytes: 900, unfit: 0, seconds: 3, followers: { gateways: 2, subscriptions: 5 } }
  const gateway = new Gateway({ 'POST /replays': work('w', {}), 'GET /work/one?id=w': work('w', { result: summary }) })
  render(<Replay jobId="job-x" />)
  expect(screen.getByRole('button', { name: /^Replay/ })).toHaveProperty('disabled', true)
  fireEvent.change(screen.getByLabelText('From'), { target: { value: '7' } })
  fireEvent.click(screen.getByRole('button', { name: 'Dry run' }))
  await vi.waitFor(() => expect(screen.getByRole('button', { name: /^Replay/ })).toHaveProperty('disabled', false), patience)
  const counted = { into: 'job:job-x', jobs: ['job-x'], speed: 10, longestPauseSeconds: 5, from: '7' }
  expect(gateway.changes).toEqual([{ path: '/replays', body: { ...counted, dryRun: true } }])

  // Another request was not counted.
  fireEvent.change(screen.getByLabelText('From'), { target: { value: '8' } })
  expect(screen.getByRole('button', { name: /^Replay/ })).toHaveProperty('disabled', true)
  fireEvent.change(screen.getByLabelText('From'), { target: { value: '7' } })

  fireEvent.click(screen.getByRole('button', { name: /^Replay/ }))
  expect(screen.getByRole('group', { name: 'Confirm: Replay 12 events' }).textContent).toContain('5 subscriptions')
  fireEvent.click(screen.getByRole('button', { name: 'Replay 12 events' }))
  await vi.waitFor(() => expect(gateway.changes[1]).toEqual({ path: '/replays', body: counted }), patience)
  await screen.findByRole('group', { name: 'Replay' }, patience)
  expect(location.hash).toContain('replay=w')
})

test('a job is erased when it was counted, a reason is given and its name is typed', async () => {
  const gateway = new Gateway({
    'POST /erasures': work('w', {}),
    'GET /work/one?id=w': work('w', { result: { found: { events: 3, deadLetters: 1, documents: 3, heads: 1 }, workersDocuments: 0, rebuilding: false } }),
  })
  render(<Erase jobId="job-x" />)
  expect(screen.getByRole('button', { name: 'Dry run' })).toHaveProperty('disabled', true)
  fireEvent.change(screen.getByLabelText('Reason'), { target: { value: 'request 12' } })
  fireEvent.click(screen.getByRole('button', { name: 'Dry run' }))
  await vi.waitFor(() => expect(screen.getByRole('button', { name: /^Erase …/ })).toHaveProperty('disabled', false), patience)
  fireEvent.click(screen.getByRole('button', { name: /^Erase …/ }))
  expect(screen.getByRole('group', { name: /^Confirm/ }).textContent).toContain('3 events, 1 dead letter and 3 documents of job-x')
  const confirm = screen.getByRole('button', { name: 'Erase the job for good' })
  for (const typed of ['', 'job-', 'job-y']) {
    fireEvent.change(screen.getByLabelText(/^Type the job’s name/), { target: { value: typed } })
    expect(confirm).toHaveProperty('disabled', true)
    fireEvent.submit(screen.getByRole('group', { name: /^Confirm/ }))
  }
  expect(gateway.changes).toEqual([{ path: '/erasures', body: { jobId: 'job-x', reason: 'request 12', dryRun: true } }])
  fireEvent.change(screen.getByLabelText(/^Type the job’s name/), { target: { value: 'job-x' } })
  fireEvent.click(confirm)
  await vi.waitFor(() => expect(gateway.changes[1]).toEqual({ path: '/erasures', body: { jobId: 'job-x', reason: 'request 12' } }), patience)
})

test('work that runs shows how far it is and is cancelled; operations say how they are resumed', async () => {
  const gateway = new Gateway({
    'GET /work': { items: [work('old', { kind: 'verify', target: 'projection/history' }), work('w', { kind: 'erase', state: 'running', step: 'purge', done: 1, total: 4 })] },
    'GET /operations': { items: [{ id: 'o', kind: 'restore', target: 'log', by: 'root', host: 'h', pid: 1, state: 'failed', resume: 'realtime restore /backup', beganAt: '2026-01-01T00:00:00Z', until: '2026-01-01T00:00:00Z' }] },
    'POST /work/cancel': work('w', {}),
  })
  render(<Work />)
  await screen.findByText('25 %', {}, patience)
  await screen.findByText('realtime restore /backup', {}, patience)
  fireEvent.click(screen.getByRole('button', { name: 'Cancel' }))
  await vi.waitFor(() => expect(gateway.changes).toEqual([{ path: '/work/cancel', body: { id: 'w' } }]), patience)
})
