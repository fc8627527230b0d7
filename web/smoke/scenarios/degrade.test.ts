import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { picture, Reader } from '../support/browser.js'
import { JobPage, jobPageFolder, listed } from '../support/jobpage.js'
import { Stack } from '../support/stack.js'

// One page on its way down and up again: less and less is there for it, and it
// says what that means, and never shows less than it knows.
let stack: Stack
let reader: Reader

beforeAll(async () => {
  ;[stack, reader] = await Promise.all([
    Stack.start({ programs: inject('programs'), folders: { '/': jobPageFolder }, config: { jobs: listed } }), Reader.start(),
  ])
})
afterAll(async () => {
  await Promise.all([stack?.stop(), reader?.close()])
})

test('sockets blocked, then the gateway stopped, then nothing, then everything again', async () => {
  const published = await stack.chapters('novel-1', 5)
  stack.blockSockets()
  const job = new JobPage(await reader.open(stack.site.url))
  await job.shows(published)
  await job.stands('Live, by event stream')
  published.push(...await stack.chapters('novel-1', 3))
  await job.shows(published)
  await picture(job.page, 'degrade-stream')

  await stack.gateway.kill()
  await job.page.getByText(/^The newest event that you see is from/).waitFor()
  await job.stands('Offline')
  await job.shows(published) // what is known stays
  await picture(job.page, 'degrade-stale')

  await job.page.reload()
  await job.page.getByRole('heading', { name: 'The service cannot be reached' }).waitFor()
  await job.page.getByRole('button', { name: 'Try now' }).first().waitFor()
  expect(await job.barriers()).toEqual([])
  await picture(job.page, 'degrade-placeholder')

  stack.mend()
  await stack.gateway.start()
  await job.isLive()
  await job.shows(published)
  await picture(job.page, 'degrade-recovered')
  expect(reader.complaints()).toEqual([])
})
