import { Redis } from 'ioredis'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { freePort, scratch, type Server } from '../../publisher/test/support/servers.js'
import { Reader } from '../support/browser.js'
import { jobPageFolder } from '../support/jobpage.js'
import { mongo, removeDocuments } from '../support/mongo.js'
import { Stack } from '../support/stack.js'

// What a person on call does with the console alone, and how long it takes.

const letters = 30

let reader: Reader
let stack: Stack
let database: Server
let remove: () => void
let page: Page

beforeAll(async () => {
  const programs = inject('programs')
  reader = await Reader.start()
  const folder = scratch()
  remove = folder.remove
  database = await mongo(programs, folder.dir, await freePort())
  stack = await Stack.start({
    programs, folders: { '/': jobPageFolder },
    env: { MONGODB_URI: `mongodb://127.0.0.1:${database.port}/oncall`, MAX_EVENT_BYTES: '2000' },
  })
  page = await reader.open(`${stack.gateway.url('')}/internal/console/`)
  await page.getByRole('heading', { name: 'Overview' }).waitFor()
})
afterAll(async () => {
  await Promise.all([reader?.close(), stack?.stop()])
  await database?.kill()
  remove?.()
})

const go = (hash: string) => page.evaluate((target) => {
  location.hash = target
}, hash)

/** Does a task, and prints the time that it took. */
async function timed(task: string, steps: () => Promise<void>): Promise<void> {
  const began = performance.now()
  await steps()
  console.log(`${task}: ${((performance.now() - began) / 1000).toFixed(1)} s`)
}

test('what a bad deploy dead-lettered is redriven in bulk', async () => {
  // The deploy has a bound that refuses most events of the workers. The next one has not.
  const redis = new Redis(`redis://127.0.0.1:${stack.redis.port}`)
  for (let n = 0; n < letters; n++) {
    await redis.publish('novel.realtime.events', JSON.stringify({ version: 1, kind: 'job-status', jobId: 'job-bulk', status: 'running', id: `large-${n}`, snapshot: { n, text: 'x'.repeat(3000) } }))
  }
  redis.disconnect()
  await go('#/letters?reason=too-large')
  const option = page.getByLabel('Reason').locator('option', { hasText: `too-large (${letters})` })
  await option.waitFor({ state: 'attached' })
  await stack.gateway.kill()
  stack.gateway.env['MAX_EVENT_BYTES'] = '1000000'
  await stack.gateway.start()

  await timed('redrive in bulk', async () => {
    await page.getByRole('button', { name: `Mark ${letters}`, exact: true }).click()
    await page.getByRole('button', { name: 'Try redrive' }).click()
    await page.getByText(`${letters} acceptable or stored, 0 in the log already, 0 refused again.`).waitFor()
    await page.getByRole('button', { name: 'Redrive', exact: true }).click()
    await page.getByText('No letter matches.').waitFor()
    await go('#/job?id=job-bulk')
    await page.getByText(`${letters} of ${letters} loaded`).waitFor()
  })
  expect(reader.complaints()).toEqual([])
})

test('a projection that has lost documents is verified, rebuilt, and equal again', async () => {
  await stack.chapters('job-projected', 40)
  await go('#/projections')
  const history = page.getByRole('table', { name: 'Projections' }).getByRole('row').filter({ hasText: 'history' })
  await history.getByText('has all').waitFor()
  await removeDocuments(database.port, 'oncall', 'novel_job_events', { jobId: 'job-projected' })

  await timed('rebuild a broken projection', async () => {
    const work = page.getByRole('table', { name: 'Long work' }).getByRole('row')
    const newest = (kind: string) => work.filter({ has: page.getByRole('button', { name: kind }) }).first()
    await page.getByRole('button', { name: 'Verify history' }).click()
    await newest('verify').getByText('Not equal').waitFor()
    await newest('verify').getByRole('button').first().click()
    await page.getByRole('table', { name: 'First differences' }).getByText('missing').first().waitFor()
    await page.getByRole('button', { name: 'Rebuild history, and swap' }).click()
    await page.getByRole('button', { name: 'Rebuild and swap history' }).click()
    await newest('rebuild').getByText('Equal', { exact: true }).waitFor()
    await page.getByRole('button', { name: 'Verify history' }).click()
    await newest('verify').getByText('Equal', { exact: true }).waitFor()
  })
  expect(reader.complaints()).toEqual([])
})
