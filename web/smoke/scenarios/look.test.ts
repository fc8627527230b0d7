import { jobStatus, generationEvent } from '@letswriteabook/realtime-publisher'
import { afterAll, afterEach, beforeAll, expect, inject, test } from 'vitest'
import { picture, Reader } from '../support/browser.js'
import { JobPage, jobPageFolder, listed } from '../support/jobpage.js'
import { Stack } from '../support/stack.js'

/** A minute of two jobs: one in the middle, one that failed, and one that has not begun. */
async function history(stack: Stack): Promise<void> {
  await stack.publish(jobStatus('novel-1', 'queued'))
  await stack.publish(jobStatus('novel-1', 'running', { draft: 1, chapters: 0 }))
  for (let chapter = 1; chapter <= 8; chapter++) {
    const excerpt = `Chapter ${chapter} begins with a storm, a lamp that will not light, and somebody at the door.`
    await stack.publish(generationEvent('novel-1', { type: 'chapter-drafted', occurredAt: new Date().toISOString(), draft: 1, chapter, excerpt }))
  }
  await stack.publish(jobStatus('novel-2', 'failed', { draft: 2, reason: 'the author ran out of ink' }))
}

let stack: Stack
let reader: Reader

beforeAll(async () => {
  ;[stack, reader] = await Promise.all([
    Stack.start({ programs: inject('programs'), folders: { '/': jobPageFolder }, config: { jobs: listed } }), Reader.start(),
  ])
  await history(stack)
})
afterEach(() => stack.mend())
afterAll(async () => {
  await Promise.all([stack?.stop(), reader?.close()])
})

test.each([
  { name: 'wide', viewport: { width: 1280, height: 800 }, colorScheme: 'light' as const },
  { name: 'wide-dark', viewport: { width: 1280, height: 800 }, colorScheme: 'dark' as const },
  { name: 'narrow', viewport: { width: 360, height: 740 }, colorScheme: 'light' as const },
  { name: 'narrow-dark', viewport: { width: 360, height: 740 }, colorScheme: 'dark' as const },
])('the page is readable for everybody, $name', async ({ name, viewport, colorScheme }) => {
  const job = new JobPage(await reader.open(stack.site.url, { viewport, colorScheme, hasTouch: viewport.width < 500 }))
  await job.isLive()
  await job.row('The Second').getByText('Failed').waitFor()
  expect(await job.barriers()).toEqual([])
  await picture(job.page, `look-${name}-list`)

  await job.row('The First').click()
  await job.page.getByText('Chapter 8 drafted').last().waitFor()
  expect(await job.barriers()).toEqual([])
  await picture(job.page, `look-${name}-job`)
  const sideways = await job.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
  expect(sideways).toBe(0)

  stack.cut()
  await job.says(/connection was lost|cannot be reached/)
  expect(await job.barriers()).toEqual([])
  await picture(job.page, `look-${name}-broken`)
  expect(reader.complaints()).toEqual([])
})
