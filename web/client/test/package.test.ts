import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { expect, test } from 'vitest'
import { scratch } from '../../publisher/test/support/servers.js'
import { generate } from '../scripts/generate.mjs'

const folder = fileURLToPath(new URL('../', import.meta.url))
const tool = (name: string) => fileURLToPath(new URL(`../../node_modules/.bin/${name}`, import.meta.url))
const peers = ['socket.io-client', 'react', '@tanstack/react-query']

/** Gzipped bytes of a page that has this code, without the peer dependencies. */
async function size(code: string): Promise<number> {
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: folder }, bundle: true, minify: true, format: 'esm', write: false, external: peers,
  })
  return gzipSync(outputFiles[0]?.contents ?? '', { level: 9 }).length
}

test('the types are those of the schemas; if not, run npm run generate', async () => {
  expect(readFileSync(join(folder, 'src/generated.ts'), 'utf8')).toBe(await generate())
})

test('the size is bounded, and what is not used is left out', async () => {
  const client = await size(`export { createRealtime } from './dist/index.js'`)
  const react = await size(`export * from './dist/react.js'`)
  const query = await size(`export * from './dist/react-query.js'`)
  const little = await size(`export { isLive } from './dist/index.js'`)
  console.log(`gzipped: client ${client}, with isLive alone ${little}, react ${react}, react-query ${query} bytes`)
  // 1,270 bytes of it are eventsource-parser, 2,750 the stand-ins for the socket with it,
  // and about 350 the spans of OpenTelemetry.
  expect(client).toBeLessThan(10_350)
  expect(react).toBeLessThan(2000)
  expect(query).toBeLessThan(2000)
  expect(little).toBeLessThan(150)
})

test('in CommonJS too, both entry points for React share one context', () => {
  const require = createRequire(import.meta.url)
  const { RealtimeProvider } = require('../dist/react.cjs') as { RealtimeProvider: unknown }
  expect(RealtimeProvider).toBeTypeOf('function')
  const contexts = ['react', 'react-query'].map((name) => readFileSync(join(folder, `dist/${name}.cjs`), 'utf8').includes('createContext'))
  expect(contexts).toEqual([false, false]) // it is in a chunk that both load
  expect(require('../dist/index.cjs')).toHaveProperty('createRealtime')
})

test('hooks are marked as code for the browser, and nothing else is', () => {
  const marked = (name: string) => ['js', 'cjs'].map((format) => /^["']use client["'];/.test(readFileSync(join(folder, `dist/${name}.${format}`), 'utf8')))
  expect(['react', 'react-query-hooks', 'react-query', 'index'].map(marked)).toEqual([[true, true], [true, true], [false, false], [false, false]])
  for (const format of ['js', 'cjs']) {
    const entry = readFileSync(join(folder, `dist/react-query.${format}`), 'utf8')
    expect(entry).toContain(`./react-query-hooks.${format}`)
    expect(entry).not.toContain('createContext')
  }
})

test('the package is one that every resolver understands', () => {
  const { dir, remove } = scratch()
  try {
    execFileSync('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', dir], { cwd: folder })
    const tarball = join(dir, 'letswriteabook-realtime-client-0.1.0.tgz')
    const publint = execFileSync(tool('publint'), ['run', tarball, '--strict'], { encoding: 'utf8' })
    expect(publint).toContain('All good!')
    const attw = execFileSync(tool('attw'), [tarball, '--format', 'ascii'], { encoding: 'utf8' })
    expect(attw).toContain('No problems found')
  } finally {
    remove()
  }
})
