// @vitest-environment happy-dom
import { cleanup, fireEvent, render, screen, within } from '@testing-library/react'
import type { ComponentType } from 'react'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { Letters } from '../src/views/letters.js'
import { Projections } from '../src/views/projections.js'
import { Revocations } from '../src/views/revocations.js'
import { Sockets } from '../src/views/sockets.js'
import { Gateway } from './support/gateway.js'

afterEach(() => {
  cleanup()
  vi.unstubAllGlobals()
})

interface Case {
  view: ComponentType
  hash: string
  answers: Record<string, unknown>
  /** Brings the button into a state in which it can be pressed. */
  prepare?: () => Promise<unknown>
  button: RegExp
  confirm: string
  says: string[]
  change: { path: string; body: unknown }
}

const letter = (sequence: number) => ({ sequence, at: '2026-01-01T00:00:00Z', reason: 'schema-violation', detail: 'no', jobId: 'job-x', bodyBytes: 2 })

const cases: Record<string, Case> = {
  'purge': {
    view: Letters, hash: '#/letters', button: /^Purge/, confirm: 'Remove 2 letters',
    answers: { 'GET /letters': { items: [letter(7), letter(9)], next: 0 }, 'GET /log': { deadLetters: {} }, 'POST /letters/purge': { removed: 2 } },
    prepare: async () => fireEvent.click(await screen.findByRole('button', { name: 'Mark 2' })),
    says: ['7, 9', 'cannot be restored'], change: { path: '/letters/purge', body: { sequences: [7, 9] } },
  },
  'disconnect all that follow a job': {
    view: Sockets, hash: '#/sockets?by=jobId&value=job-x', button: /^Disconnect/, confirm: 'Disconnect all clients that follow job-x',
    answers: { 'POST /sockets/close': { clients: 3, gateways: ['one'], missing: [] } },
    says: ['job-x', 'at every gateway'], change: { path: '/sockets/close', body: { jobId: 'job-x' } },
  },
  'rebuild, and swap': {
    view: Projections, hash: '#/projections', button: /^Rebuild history, and swap/, confirm: 'Rebuild and swap history',
    answers: { 'GET /projections': { items: [{ name: 'history', lag: 0, lagSeconds: 0, floor: 1, neverRan: false, paused: false }] }, 'POST /projections/rebuild': {} },
    says: ['history', 'new collection'], change: { path: '/projections/rebuild', body: { projection: 'history', swap: true } },
  },
  'revoke': {
    view: Revocations, hash: '#/revocations?kind=subject&value=alice', button: /^Revoke …/, confirm: 'Revoke subject alice',
    answers: { 'POST /revocations': { kind: 'subject', value: 'alice', at: '2026-01-01T00:00:00Z' } },
    says: ['alice', 'every socket and stream'], change: { path: '/revocations', body: { kind: 'subject', value: 'alice', reason: '' } },
  },
}

describe.each(Object.entries(cases))('%s', (_, { view: View, hash, answers, prepare, button, confirm, says, change }) => {
  test('says what it will do, and does it when that is confirmed', async () => {
    location.hash = hash
    const gateway = new Gateway(answers)
    render(<View />)
    await prepare?.()
    fireEvent.click(await screen.findByRole('button', { name: button }))
    const question = screen.getByRole('group', { name: `Confirm: ${confirm}` })
    for (const text of says) expect(question.textContent).toContain(text)
    fireEvent.click(within(question).getByRole('button', { name: 'Cancel' }))
    expect(screen.queryByRole('group', { name: /^Confirm/ })).toBeNull()
    expect(gateway.changes).toEqual([])
    fireEvent.click(screen.getByRole('button', { name: button }))
    fireEvent.keyDown(screen.getByRole('group', { name: /^Confirm/ }), { key: 'Escape' })
    expect(screen.queryByRole('group', { name: /^Confirm/ })).toBeNull()
    fireEvent.click(screen.getByRole('button', { name: button }))
    fireEvent.click(screen.getByRole('button', { name: confirm }))
    await vi.waitFor(() => expect(gateway.changes).toEqual([change]), 30_000)
    expect(screen.queryByRole('group', { name: /^Confirm/ })).toBeNull()
  })
})

test('the question about a revocation does not outlive a change of what is revoked', async () => {
  location.hash = '#/revocations?kind=subject&value=alice'
  new Gateway({})
  render(<Revocations />)
  fireEvent.click(screen.getByRole('button', { name: /^Revoke …/ }))
  screen.getByRole('group', { name: 'Confirm: Revoke subject alice' })
  fireEvent.change(screen.getByLabelText('Value'), { target: { value: 'bob' } })
  await vi.waitFor(() => expect(screen.queryByRole('group', { name: /^Confirm/ })).toBeNull(), 30_000)
})
