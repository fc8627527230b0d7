import { execFile, spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { freePort } from '../../publisher/test/support/servers.js'
import { ready, Stage } from '../../client/test/support/stage.js'

const folder = fileURLToPath(new URL('../', import.meta.url))
const next = fileURLToPath(new URL('../../node_modules/next/dist/bin/next', import.meta.url))
const environment = (distDir: string, gateway = '') => ({ ...process.env, DIST_DIR: distDir, GATEWAY: gateway, NEXT_TELEMETRY_DISABLED: '1', NODE_ENV: undefined })

/** Serves the app, and returns what it answers. */
async function pageOf(mode: 'dev' | 'start', distDir: string): Promise<string> {
  const stage = await Stage.start()
  await stage.publish('job-1', 0, 3)
  const port = await freePort()
  const app = spawn(process.execPath, [next, mode, '-H', '127.0.0.1', '-p', `${port}`], { cwd: folder, env: environment(distDir, stage.gateway.url('')), stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  let output = ''
  const ended = new Promise((resolve) => app.once('exit', resolve))
  const serving = new Promise<void>((resolve, reject) => {
    for (const stream of [app.stdout, app.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        output = (output + chunk.toString()).slice(-20_000)
        if (output.includes('Ready in')) resolve()
      })
    }
    void ended.then(() => reject(new Error(`Next.js has ended: ${output}`)))
  })
  const end = () => void (app.exitCode === null && app.pid !== undefined && process.kill(-app.pid, 'SIGKILL'))
  process.once('exit', end)
  onTestFinished(async () => {
    process.off('exit', end)
    end()
    await ended
  })
  await serving
  const response = await fetch(`http://127.0.0.1:${port}/`)
  const text = await response.text()
  expect(response.status, output).toBe(200)
  return text
}

// The build takes 28 s of CPU, and the development server compiles the page at the first
// request: minutes on a machine that is busy. Each step ends by itself, with its result or
// with its error, so the time limit is there only for one that hangs.
const hangMs = 15 * 60_000

describe.skipIf(!ready)('a server component prefetches what hooks go on from', { timeout: hangMs }, () => {
  beforeAll(() => {
    for (const name of ['.next', '.next-dev']) rmSync(`${folder}${name}`, { recursive: true, force: true })
  })

  test('built and started', async () => {
    await promisify(execFile)(process.execPath, [next, 'build'], { cwd: folder, env: environment('.next') }).catch((error: Error & { stdout: string; stderr: string }) => {
      throw new Error(`${error.stdout}${error.stderr}`)
    })
    expect(await pageOf('start', '.next')).toContain('3 events, idle')
  })

  test('with the development server', async () => {
    expect(await pageOf('dev', '.next-dev')).toContain('3 events, idle')
  })
})
