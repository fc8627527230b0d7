import axe from 'axe-core'
import { Redis } from 'ioredis'
import type { Page } from 'playwright-core'
import { io, type Socket } from 'socket.io-client'
import { afterAll, beforeAll, beforeEach, expect, inject, test } from 'vitest'
import { picture, Reader } from '../support/browser.js'
import { jobPageFolder } from '../support/jobpage.js'
import { Stack } from '../support/stack.js'

// The console on a real gateway, by what a person on call has to do.

const token = 'console-0123456789abcdef'
const markup = '<img src=x onerror="document.title=\'broken\'">'
const views = ['overview', 'jobs', 'sockets', 'letters', 'projections', 'work', 'log', 'revocations', 'audit', 'settings']

let reader: Reader
let stack: Stack
let redis: Redis
let page: Page

beforeAll(async () => {
  ;[reader, stack] = await Promise.all([
    Reader.start(),
    Stack.start({ programs: inject('programs'), folders: { '/': jobPageFolder }, env: { INTERNAL_TOKEN: token, SOCKET_CLIENT_ORIGIN: '*' } }),
  ])
  redis = new Redis(`redis://127.0.0.1:${stack.redis.port}`)
  await stack.chapters('job-x', 3)
  await stack.chapters(markup, 1)
  // A bad deploy: a status that no worker has. A letter is in the log soon after, which the views wait for.
  const bad = { version: 1, kind: 'job-status', jobId: 'job-x', status: 'runing', id: 'bad', snapshot: { note: markup } }
  await redis.publish('novel.realtime.events', JSON.stringify(bad))
  page = await reader.open(`${stack.gateway.url('')}/internal/console/`)
})
afterAll(async () => {
  redis?.disconnect()
  await Promise.all([reader?.close(), stack?.stop()])
})
beforeEach(() => async () => {
  // Markup that is stored is text: nothing of it became an element, and the policy was not needed.
  expect(await page.locator('img').count()).toBe(0)
  expect(await page.title()).not.toBe('broken')
  expect(reader.complaints()).toEqual([])
})

const go = (hash: string) => page.evaluate((target) => {
  location.hash = target
}, hash)

test('the console asks for a token, and does not take a wrong one', async () => {
  await page.getByLabel('Token').fill('wrong-0123456789abcdef')
  await page.getByRole('button', { name: 'Continue' }).click()
  await page.getByText('does not accept this token').waitFor()
  await page.getByLabel('Token').fill(token)
  await page.getByRole('button', { name: 'Continue' }).click()
  await page.getByRole('heading', { name: 'Overview' }).waitFor()
  expect(await page.context().cookies()).toEqual([])
  expect(await page.evaluate(() => JSON.stringify(localStorage))).not.toContain(token)
})

test('why a job stands still: its last event was refused, and the page says why', async () => {
  await page.keyboard.press('g')
  await page.keyboard.press('j')
  await page.getByRole('searchbox').fill('job-')
  await page.getByRole('link', { name: 'job-x' }).click()
  await page.getByText('schema-violation').first().waitFor()
  await page.getByRole('link', { name: 'Look at it' }).click()
  await page.getByText('must be one of').first().waitFor()
  expect(await page.getByLabel('Body').textContent()).toContain(markup.replaceAll('"', '\\"'))
})

test('what a bad deploy dead-lettered is mended, stored, and noted in the audit trail', async () => {
  await page.getByRole('button', { name: /Edit and publish/ }).click()
  const draft = page.getByLabel('The event to publish instead')
  await draft.fill((await draft.inputValue()).replace('runing', 'running'))
  await page.getByRole('button', { name: 'Publish, and remove the letter' }).click()
  await page.getByText('There are no dead letters.').or(page.getByText('No letter matches.')).waitFor()
  await go('#/job?id=job-x')
  await page.getByText(/^Status running since/).waitFor()
  await go('#/audit')
  await page.getByText('/letters/purge').first().waitFor()
})

test('the scrubber shows the state at an earlier event, and its address does so again', async () => {
  await go('#/job?id=job-x')
  await page.getByText(/^Status running since/).waitFor()
  await page.getByLabel('Event', { exact: true }).focus()
  await page.keyboard.press('ArrowLeft')
  await page.getByText(/No status/).waitFor()
  await page.reload()
  await page.getByText(/No status/).waitFor()
})

test('a job shows who follows it and how its events came there, and replays them to its followers after a dry run', async () => {
  const client: Socket = io(stack.gateway.url(''), { path: '/ws', transports: ['websocket'], reconnection: false })
  try {
    await new Promise<void>((resolve) => {
      client.on('novel.caught-up', () => resolve())
      client.on('connect', () => client.emit('subscribe', { jobId: 'job-x' }))
    })
    const [{ sequence } = { sequence: 0 }] = await stack.chapters('job-x', 1)
    await go('#/job?id=job-x')
    await page.getByText(/^1 client$/).or(page.getByText(/, 1 client$/)).first().waitFor() // the way of the newest event
    await page.getByRole('link', { name: 'Ways' }).click()
    const ways = page.getByRole('table', { name: 'Ways' }).getByRole('row')
    await ways.filter({ hasText: sequence.toLocaleString('en') }).filter({ hasText: / to 1 / }).first().waitFor()
    await page.getByRole('link', { name: /^Followers/ }).click()
    await page.getByRole('link', { name: client.id as string }).waitFor()
    await page.getByRole('link', { name: 'Replay' }).click()
    await page.getByLabel('From').fill(String(sequence))
    await page.getByRole('button', { name: 'Dry run' }).click()
    await page.getByText(/would be sent to 1 subscription at 1 gateway/).waitFor()
    const again = new Promise<{ event: object }>((resolve) => client.on('novel.generation-event', resolve))
    await page.getByRole('button', { name: /^Replay …/ }).click()
    await page.getByRole('button', { name: 'Replay 1 event' }).click()
    await page.getByText(/were sent to 1 subscription at 1 gateway/).waitFor()
    expect((await again).event).toHaveProperty('type', 'chapter-drafted')
    await go('#/work')
    await page.getByRole('button', { name: 'replay, dry run job:job-x' }).waitFor()
  } finally {
    client.close()
  }
})

test('on a phone, a part of a job takes the place of the events', async () => {
  const size = page.viewportSize()
  await page.setViewportSize({ width: 390, height: 844 })
  try {
    await go('#/job?id=job-x')
    const events = page.getByRole('table', { name: 'Events' })
    await events.waitFor()
    await page.getByRole('link', { name: 'Ways' }).click()
    const ways = page.getByRole('table', { name: 'Ways' })
    await ways.waitFor()
    await events.waitFor({ state: 'hidden' })
    await picture(page, 'console-phone-part')
    await page.getByRole('link', { name: '‹ Events' }).click()
    await events.waitFor()
    await picture(page, 'console-phone-events')
    expect(await ways.count()).toBe(0)
  } finally {
    if (size) await page.setViewportSize(size)
  }
})

test('an erasure is counted, and needs the name of the job', async () => {
  await go(`#/job?id=${encodeURIComponent(markup)}&part=erase`)
  await page.getByLabel('Reason').fill('request 12')
  await page.getByRole('button', { name: 'Dry run' }).click()
  await page.getByText(/^Found: 1 event/).waitFor()
  await page.getByRole('button', { name: /^Erase …/ }).click()
  await page.getByLabel(/^Type the job’s name/).fill('another')
  expect(await page.getByRole('button', { name: 'Erase the job for good' }).isDisabled()).toBe(true)
  await page.getByLabel(/^Type the job’s name/).fill(markup)
  expect(await page.getByRole('button', { name: 'Erase the job for good' }).isDisabled()).toBe(false)
})

test('a runaway client is found by its job and disconnected, and its story says so', async () => {
  const client: Socket = io(stack.gateway.url(''), { path: '/ws', transports: ['websocket'], reconnection: false })
  try {
    const gone = new Promise<string>((resolve) => client.on('disconnect', resolve))
    await new Promise<void>((resolve) => client.on('connect', () => client.emit('subscribe', { jobId: 'job-x' }, () => resolve())))
    const id = client.id as string // it has none after its end
    await go('#/sockets?by=jobId&value=job-x')
    await page.getByRole('link', { name: id }).click()
    const story = page.getByRole('region', { name: `Client ${id}` })
    await story.getByRole('button', { name: /Disconnect/ }).click()
    await page.getByRole('button', { name: `Disconnect the client ${id}` }).click()
    await gone
    await story.getByText(/^Ended/).waitFor()
    await go('#/gone')
    const row = page.getByRole('table', { name: 'Clients that have gone' }).getByRole('row').filter({ hasText: id })
    await row.getByText('closed by an operator').waitFor()
    await row.getByRole('link').click()
    await story.getByText(/^Ended/).waitFor()
  } finally {
    client.close()
  }
})

const shown = [...views, 'gone', 'job?id=job-x', ...['followers', 'ways', 'replay', 'erase'].map((part) => `job?id=job-x&part=${part}`)]

test.each(['light', 'dark'] as const)('every view is free of barriers, %s', async (colorScheme) => {
  await page.emulateMedia({ colorScheme })
  await page.evaluate(axe.source)
  for (const view of shown) {
    await go(`#/${view}`)
    await page.locator('.fresh.live').last().waitFor()
    await page.getByRole('heading', { level: 1 }).first().waitFor()
    const found = await page.evaluate(async () => {
      const { violations } = await (window as unknown as { axe: typeof axe }).axe.run(document, { resultTypes: ['violations'] })
      return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`)
    })
    expect(found, view).toEqual([])
  }
})
