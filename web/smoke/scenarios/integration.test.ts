import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { domainEvent, jobStatus } from '@letswriteabook/realtime-publisher'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { picture, Reader } from '../support/browser.js'
import { extract } from '../support/snippets.js'
import { Stack } from '../support/stack.js'

const page = fileURLToPath(new URL('../../../docs/web/realtime-integration.md', import.meta.url))
const folder = fileURLToPath(new URL('../.integration/', import.meta.url))
const tools = fileURLToPath(new URL('../../node_modules/.bin/', import.meta.url))
const jobId = 'novel-7'

/** What the page of the docs leaves to its reader: a document, and something that uses the functions. */
const rest: Record<string, string> = {
  'index.html': '<!doctype html><html lang="en"><head><title>The page of the docs</title><meta name="realtime-gateway" content="GATEWAY"></head>'
    + '<body><div id="root"></div><script type="module" src="./all.ts"></script></body></html>',
  'all.ts': `
    import type { JobEvent } from '@letswriteabook/realtime-client'
    import './main'
    import { poll } from './polling'
    import { resume } from './resume'
    const list = (id: string) => {
      const shown = document.body.appendChild(document.createElement('pre'))
      shown.id = id
      return (event: JobEvent) => { shown.textContent += event.sequence + ' ' }
    }
    resume('${jobId}', list('resumed'), () => undefined)
    poll('${jobId}', list('polled'), () => undefined, 200)`,
  'vitest.config.ts': `export default { test: { environment: 'happy-dom', testTimeout: 60_000 } }`,
  'tsconfig.json': JSON.stringify({
    compilerOptions: {
      target: 'ES2022', lib: ['ES2023', 'DOM', 'DOM.Iterable'], module: 'ESNext', moduleResolution: 'Bundler', strict: true, noEmit: true,
      jsx: 'react-jsx', skipLibCheck: true, types: [],
    },
  }),
}

/** Runs a tool of the workspace in the folder of the snippets; what it says is in the error when it fails. */
function run(tool: string, ...args: string[]): void {
  try {
    execFileSync(join(tools, tool), args, { cwd: folder, stdio: 'pipe' })
  } catch (error) {
    const { stdout, stderr } = error as { stdout: Buffer; stderr: Buffer }
    throw new Error(`${tool} ${args.join(' ')}: ${stdout}${stderr}`)
  }
}

let stack: Stack
let reader: Reader

beforeAll(async () => {
  extract(page, folder)
  for (const [name, text] of Object.entries(rest)) writeFileSync(join(folder, name), text)
  run('tsc', '-p', '.')
  run('vite', 'build', '--logLevel', 'error')
  ;[stack, reader] = await Promise.all([
    Stack.start({ programs: inject('programs'), folders: { '/': join(folder, 'dist/') } }), Reader.start(),
  ])
  const built = join(folder, 'dist/index.html')
  writeFileSync(built, readFileSync(built, 'utf8').replace('GATEWAY', stack.network.url))
})
afterAll(async () => {
  await Promise.all([stack?.stop(), reader?.close()])
})

test('the code of the page about integration does what the page says, in a browser', async () => {
  const published = [await stack.publish(jobStatus(jobId, 'running'))]
  const tab = await reader.open(stack.site.url)
  await expect.poll(() => tab.getByRole('status').textContent()).toBe('live')
  await tab.getByRole('heading', { name: 'novel-7: running' }).waitFor()

  const shown = () => published.map(({ sequence }) => `${sequence} `).join('')
  const chapter = () => stack.publish(domainEvent(jobId, { type: 'chapter-drafted', occurredAt: new Date().toISOString() }))
  published.push(await chapter(), await chapter())
  await tab.getByText('3 events').waitFor()
  await expect.poll(() => tab.locator('#resumed').textContent()).toBe(shown())
  await expect.poll(() => tab.locator('#polled').textContent()).toBe(shown())
  expect(await tab.getByRole('listitem').allTextContents()).toEqual(['running', 'chapter-drafted', 'chapter-drafted'])

  stack.cut()
  await tab.getByRole('alert').getByText('The connection is lost, and is being made again.').waitFor()
  published.push(await chapter())
  stack.mend()
  await expect.poll(() => tab.locator('#resumed').textContent()).toBe(shown())
  await tab.getByText('4 events').waitFor()
  await picture(tab, 'integration')

  await tab.reload() // what it had is kept: only what is new is shown
  published.push(await chapter())
  await expect.poll(() => tab.locator('#resumed').textContent()).toBe(`${published.at(-1)?.sequence} `)
  expect(reader.complaints()).toEqual([])
})

test('its test of a component passes', () => {
  run('vitest', 'run', '--root', '.')
})
