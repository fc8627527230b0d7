import { jobStatus, type Receipt } from '@letswriteabook/realtime-publisher'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { picture, Reader } from '../support/browser.js'
import { JobPage, jobPageFolder, listed } from '../support/jobpage.js'
import { Stack } from '../support/stack.js'

let stack: Stack
let reader: Reader
let job: JobPage
const published: Receipt[] = []

beforeAll(async () => {
  ;[stack, reader] = await Promise.all([
    Stack.start({ programs: inject('programs'), folders: { '/': jobPageFolder }, config: { jobs: listed } }), Reader.start(),
  ])
  published.push(...await stack.chapters('novel-1', 20))
})
afterAll(async () => {
  await Promise.all([stack?.stop(), reader?.close()])
})

test('the page is live within two seconds, with what there is', async () => {
  // The budget is that of a machine with nothing else to do: one visit in a minute has to keep it.
  const times: number[] = []
  for (const end = Date.now() + 60_000; ; ) {
    job = new JobPage(await reader.open(stack.site.url))
    const took = await job.liveAfter()
    times.push(took)
    if (took < 2000 || Date.now() > end) break
    await job.page.context().close()
  }
  console.log(`live after ${times.map(Math.round).join(', ')} ms`)
  expect(Math.min(...times)).toBeLessThan(2000)
  await job.shows(published)
  await job.page.getByText('This is where it began.').waitFor()
})

test('an event is there within a second, and none is left out', async () => {
  // As above: in a minute, half of the last ten have to keep it.
  const times: number[] = []
  const median = () => times.slice(-10).sort((a, b) => a - b)[5] ?? Infinity
  for (const end = Date.now() + 60_000; times.length < 10 || (median() >= 1000 && Date.now() < end); ) {
    const began = performance.now()
    published.push(...await stack.chapters('novel-1', 1))
    await job.shows(published)
    times.push(performance.now() - began)
  }
  console.log(`published and seen after ${times.map(Math.round).join(', ')} ms`)
  expect(median()).toBeLessThan(1000)
  published.push(...await stack.chapters('novel-1', 100))
  await job.shows(published)
  await picture(job.page, 'live')
})

test('a change of the state is seen in the list, on the job, and heard', async () => {
  published.push(await stack.publish(jobStatus('novel-1', 'running', { chapters: 3 })))
  await job.row('The First').getByText('Running').waitFor()
  published.push(await stack.publish(jobStatus('novel-1', 'completed', { chapters: 130 })))
  await job.row('The First').getByText('Done').waitFor()
  await expect.poll(() => job.page.getByRole('status', { name: 'State of the job' }).textContent()).toBe('The First: Done')
  await job.page.getByText('130', { exact: true }).waitFor()
})

test('older events are there when they are asked for, back to the beginning', async () => {
  published.push(...await stack.chapters('novel-1', 150))
  await job.shows(published.slice(-200))
  expect(await job.page.getByText('This is where it began.').count()).toBe(0)
  await job.page.getByRole('button', { name: 'Show older' }).click()
  await job.shows(published)
  await job.page.getByRole('button', { name: 'Show older' }).click()
  await job.page.getByText('This is where it began.').waitFor()
  expect(reader.complaints()).toEqual([])
})
