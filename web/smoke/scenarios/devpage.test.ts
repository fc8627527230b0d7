import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { scratch, type Server } from '../../publisher/test/support/servers.js'
import { picture, Reader } from '../support/browser.js'
import { devStack } from '../support/devstack.js'

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

test('the page of the development stack shows the sample job live', async () => {
  const page = await reader.open(stack.url('/'))
  await page.locator('#state[data-state=live]').waitFor({ timeout: 2_000 })
  await page.locator('#events li:not(.note)').nth(1).waitFor()
  await picture(page, 'devpage')
  expect(await page.locator('#status').textContent()).toMatch(/queued|running|completed/)
  expect(reader.complaints()).toEqual([])
})
