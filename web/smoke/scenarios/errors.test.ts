import { afterAll, beforeAll, beforeEach, expect, inject, onTestFinished, test } from 'vitest'
import { picture, Reader } from '../support/browser.js'
import { JobPage, jobPageFolder, listed } from '../support/jobpage.js'
import { Stack } from '../support/stack.js'

let reader: Reader

beforeAll(async () => {
  reader = await Reader.start()
})
afterAll(() => reader?.close())
beforeEach(() => () => expect(reader.complaints()).toEqual([]))

/** A stack for one scenario, whose gateway has settings of its own. */
async function withGateway(env: Record<string, string>, jobs = listed): Promise<Stack> {
  const stack = await Stack.start({ programs: inject('programs'), folders: { '/': jobPageFolder }, config: { jobs }, env })
  onTestFinished(() => stack.stop())
  return stack
}

test('a job that cannot be is refused in words, and can be taken off the list', async () => {
  const stack = await withGateway({})
  const job = new JobPage(await reader.open(stack.site.url))
  await job.isLive()
  await job.page.getByLabel('Follow another job').fill('x'.repeat(300))
  await job.page.getByRole('button', { name: 'Follow', exact: true }).click()
  await job.says(/there is no such job/)
  await job.page.getByRole('heading', { name: 'There is no such job' }).waitFor()
  expect(await job.barriers()).toEqual([])
  await picture(job.page, 'errors-invalid')

  await job.page.getByRole('button', { name: 'Stop following this job' }).click()
  await expect.poll(() => job.row('xxx').count()).toBe(0)
  await job.isLive()
})

test('a job beyond the cap is told with the figure, shown over HTTP, and live when there is room', async () => {
  const stack = await withGateway({ SOCKET_MAX_SUBSCRIPTIONS_PER_CLIENT: '2' }, listed.slice(0, 1))
  const published = await stack.chapters('beyond', 4)
  const job = new JobPage(await reader.open(stack.site.url))
  await job.isLive()
  for (const id of ['fits', 'beyond']) {
    await job.page.getByLabel('Follow another job').fill(id)
    await job.page.getByRole('button', { name: 'Follow', exact: true }).click()
    await job.page.getByRole('heading', { name: id }).waitFor()
  }
  await job.says('2 jobs can be followed in one window. Stop following another one to see this one live.')
  await job.row('beyond').getByText('Not followed live').waitFor()
  await job.isLive() // the other jobs are, and the connection is
  await job.shows(published)
  published.push(...await stack.chapters('beyond', 1))
  await job.shows(published)
  await picture(job.page, 'errors-cap')

  await job.row('fits').click()
  await job.page.getByRole('button', { name: 'Stop following this job' }).click()
  await job.row('beyond').getByText(/^Chapter 5 drafted/).waitFor()
})

test('a full gateway is waited for with its own timing, and the page is filled meanwhile', async () => {
  const stack = await withGateway({ SOCKET_MAX_CONNECTIONS: '1' })
  const published = await stack.chapters('novel-1', 6)
  const first = new JobPage(await reader.open(stack.site.url))
  await first.isLive()

  const second = new JobPage(await reader.open(stack.site.url))
  await second.stands('Waiting for a place')
  await second.says('Live updates are busy')
  await second.toasts.getByText(/^Next try in \d+ s$/).waitFor()
  await second.shows(published)
  published.push(...await stack.chapters('novel-1', 1))
  await second.shows(published)
  expect(await second.barriers()).toEqual([])
  await picture(second.page, 'errors-full')

  await first.page.context().close()
  await second.isLive()
  await second.says('You are connected again')
})

test('a page from an unknown address is told so, and is not tried again', async () => {
  const stack = await withGateway({ SOCKET_CLIENT_ORIGIN: 'http://somewhere.example' })
  const job = new JobPage(await reader.open(stack.site.url))
  await job.says('This address may not show live updates')
  await job.page.getByRole('heading', { name: 'This address may not show live updates' }).waitFor()
  expect(await job.toasts.getByText(/Next try/).count()).toBe(0)
  reader.complaints() // the browser's own, about what the page may not read
})
