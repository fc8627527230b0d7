import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { packed, targets } from './support/packed.js'

test('the package has what it points to, a licence and types, and neither tests nor sources', { timeout: 120_000 }, () => {
  const { files, manifest } = packed(fileURLToPath(new URL('../', import.meta.url)))
  expect(files).toEqual(expect.arrayContaining(['LICENSE', 'README.md', 'package.json', ...targets(manifest)]))
  const folders = new Set(files.map((file) => (file.includes('/') ? file.slice(0, file.indexOf('/')) : '')))
  expect([...folders].sort()).toEqual(['', 'dist', 'examples'])
  expect(files.filter((file) => /\.test\.|(^|\/)(test|src|node_modules)\//.test(file))).toEqual([])
  expect(manifest.publishConfig).toEqual({ access: 'public', provenance: true })
  expect(manifest.repository.directory).toBe('web/publisher')
})
