import type { Receipt } from '@letswriteabook/realtime-publisher'
import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, test } from 'vitest'
import { picture, Reader } from '../support/browser.js'
import { JobPage, jobPageFolder, listed } from '../support/jobpage.js'
import { Stack } from '../support/stack.js'

/** How long it may take from when everything is whole again until the page shows everything, in milliseconds. */
const budget = 30_000

let stack: Stack
let reader: Reader
let job: JobPage
const published: Receipt[] = []

beforeAll(async () => {
  ;[stack, reader] = await Promise.all([
    Stack.start({ programs: inject('programs'), folders: { '/': jobPageFolder }, config: { jobs: listed } }), Reader.start(),
  ])
  published.push(...await stack.chapters('novel-1', 5))
  job = new JobPage(await reader.open(stack.site.url))
})
beforeEach(async () => {
  await job.isLive()
  await job.shows(published)
})
afterEach(async () => {
  stack.mend()
  await job.page.context().setOffline(false)
})
afterAll(async () => {
  await Promise.all([stack?.stop(), reader?.close()])
})

test('after the network was cut, what was missed is there, and marked', async () => {
  stack.cut()
  await job.stands('Reconnecting')
  await job.says('The service cannot be reached')
  published.push(...await stack.chapters('novel-1', 20))
  await picture(job.page, 'reconnect-cut')

  stack.mend()
  await job.shows(published, budget)
  await job.isLive(budget)
  await job.says('You are connected again')
  await job.says('The 20 events that you missed are here.')
  await job.page.getByText('The 20 events above came while you were not connected').waitFor()
  await picture(job.page, 'reconnect-back')
})

test('without a network the page says so, and comes back at once when there is one', async () => {
  await job.page.context().setOffline(true)
  stack.cut()
  await job.stands('Offline')
  await job.says('You are offline')
  await picture(job.page, 'reconnect-offline')
  published.push(...await stack.chapters('novel-1', 3))

  stack.mend()
  await job.page.context().setOffline(false)
  await job.shows(published, budget)
})

test('after Redis was stopped, everything that was published meanwhile is there', async () => {
  await stack.redis.kill()
  const waiting = stack.chapters('novel-1', 10) // in the worker's outbox
  await job.isLive()
  await job.shows(published)

  await stack.redis.start()
  published.push(...await waiting)
  await job.shows(published, budget)
  await job.isLive()
})

test('after the gateway was killed, everything is there, each event once', async () => {
  await stack.gateway.kill()
  await job.stands('Reconnecting')
  const waiting = stack.chapters('novel-1', 10)

  await stack.gateway.start()
  published.push(...await waiting)
  await job.shows(published, budget)
  await job.isLive(budget)
  await picture(job.page, 'reconnect-killed')
})

test('the reader can have it tried at once', async () => {
  stack.cut()
  await job.says('The service cannot be reached')
  await job.toasts.getByText(/^Next try in \d+ s$/).waitFor()
  stack.mend()
  await job.toasts.getByRole('button', { name: 'Try now' }).click({ timeout: 2000 }).catch(() => undefined) // it may have come back by itself just now
  await job.isLive(budget)
  expect(reader.complaints()).toEqual([])
})
