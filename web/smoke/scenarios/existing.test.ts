import { fileURLToPath } from 'node:url'
import { domainEvent, type Envelope, generationEvent, jobStatus } from '@letswriteabook/realtime-publisher'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { picture, Reader } from '../support/browser.js'
import { Stack } from '../support/stack.js'

const jobId = 'existing'
const lib = fileURLToPath(new URL('.', import.meta.resolve('socket.io-client/dist/socket.io.js')))
const pages = fileURLToPath(new URL('../pages/existing/', import.meta.url))

let stack: Stack
let reader: Reader
let page: Page
let published = 0

/** The nth event, of each kind in turn, and the line that the page shows for it. */
function nth(n: number): { envelope: Envelope; line: string } {
  const event = { type: 'step', occurredAt: new Date(0).toISOString(), n }
  switch (n % 3) {
    case 0: return { envelope: generationEvent(jobId, event), line: `generation step ${n}` }
    case 1: return { envelope: domainEvent(jobId, event), line: `domain step ${n}` }
    default: return { envelope: jobStatus(jobId, 'running', { n }), line: `status running ${n}` }
  }
}

async function publish(count: number): Promise<void> {
  const from = published
  published += count
  await Promise.all(Array.from({ length: count }, (_, i) => stack.publish(nth(from + i).envelope)))
}

/** The page shows everything that was published, in order, each once. */
async function complete(): Promise<void> {
  await expect.poll(() => page.locator('#events li').allTextContents())
    .toEqual(Array.from({ length: published }, (_, n) => nth(n).line))
}

beforeAll(async () => {
  const folders = { '/': pages, '/lib/': lib }
  ;[stack, reader] = await Promise.all([
    Stack.start({ programs: inject('programs'), folders, config: { jobId } }), Reader.start(),
  ])
  await publish(5)
  page = await reader.open(stack.site.url)
})
afterAll(async () => {
  await Promise.all([stack?.stop(), reader?.close()])
})

test('it catches up and gets the three events live', async () => {
  await complete()
  await publish(7)
  await complete()
  expect(await page.locator('#status').textContent()).toBe('running')
})

test('it gets novel.error with its text, and goes on', async () => {
  await page.locator('#nothing').click()
  await expect.poll(() => page.locator('#errors li').allTextContents()).toEqual(['jobId is required to subscribe.'])
  await publish(1)
  await complete()
})

test('it subscribes again after the network was cut, and misses and repeats nothing', async () => {
  stack.cut()
  await expect.poll(() => page.locator('#socket').textContent()).toBe('disconnected')
  await publish(20)
  stack.mend()
  await complete()
  expect(await page.locator('#connects').textContent()).toBe('2')
})

test('it misses and repeats nothing when the gateway is killed', async () => {
  await stack.gateway.kill()
  await expect.poll(() => page.locator('#socket').textContent()).toBe('disconnected')
  const missed = publish(20)
  await stack.gateway.start()
  await missed
  await complete()
  await picture(page, 'existing')
  expect(await page.locator('#connects').textContent()).toBe('3')
  expect(reader.complaints()).toEqual([])
})
