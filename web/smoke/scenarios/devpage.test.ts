import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { scratch, type Server } from '../../publisher/test/support/servers.js'
import { picture, Reader } from '../support/browser.js'
import { devStack } from '../support/devstack.js'
import { JobPage } from '../support/jobpage.js'

const folder = scratch()
let stack: Server
let reader: Reader

beforeAll(async () => {
  ;[stack, reader] = await Promise.all([devStack(inject('programs'), folder.dir), Reader.start()])
})
afterAll(async () => {
  await Promise.all([stack?.kill(), reader?.close()])
  folder.remove()
})

test('the page without a build step shows the sample job live', async () => {
  const page = await reader.open(stack.url('/dev'))
  await page.locator('#state[data-state=live]').waitFor()
  await page.locator('#events li:not(.note)').nth(1).waitFor()
  await picture(page, 'devpage')
  expect(await page.locator('#status').textContent()).toMatch(/queued|running|completed/)
  expect(reader.complaints()).toEqual([])
})

test('the job page is served where it has been built, and its policy lets it work', async () => {
  const job = new JobPage(await reader.open(stack.url('/')))
  await job.isLive()
  await expect.poll(() => job.sequences().then(({ length }) => length)).toBeGreaterThan(1)
  for (const title of ['The Lighthouse Keeper', 'Murder at Low Tide', 'A Year of Small Boats']) await job.row(title).waitFor()
  await picture(job.page, 'devstack')
  await job.page.getByRole('link', { name: /publish an event/ }).click()
  await job.page.getByRole('heading', { name: 'Publish an event of your own' }).waitFor()
  expect(reader.complaints()).toEqual([])
})
