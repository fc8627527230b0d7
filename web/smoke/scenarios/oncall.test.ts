import { Redis } from 'ioredis'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { Reader } from '../support/browser.js'
import { jobPageFolder } from '../support/jobpage.js'
import { Stack } from '../support/stack.js'

// What a person on call does with the console alone, and how long it takes.

const letters = 30

let reader: Reader
let stack: Stack
let page: Page

beforeAll(async () => {
  const programs = inject('programs')
  reader = await Reader.start()
  stack = await Stack.start({
    programs, folders: { '/': jobPageFolder },
    env: { MAX_EVENT_BYTES: '2000' },
  })
  page = await reader.open(`${stack.gateway.url('')}/internal/console/`)
  await page.getByRole('heading', { name: 'Overview' }).waitFor()
})
afterAll(async () => {
  await Promise.all([reader?.close(), stack?.stop()])
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
