import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Plugin } from 'vite'

/** Writes licences.txt: the licence texts of the packages that the bundle contains. */
export function licences(): Plugin {
  return {
    name: 'licences',
    generateBundle(_options, bundle) {
      const folders = new Set<string>()
      for (const chunk of Object.values(bundle)) {
        if (chunk.type !== 'chunk') continue
        for (const id of chunk.moduleIds) {
          const folder = /^\0?(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(id)?.[1]
          if (folder) folders.add(folder)
        }
      }
      const texts = [...folders].map(licenceOf).sort((a, b) => (a.name < b.name ? -1 : 1))
      this.emitFile({ type: 'asset', fileName: 'licences.txt', source: texts.map(({ name, text }) => `${name}\n\n${text.trim()}\n`).join('\n---\n\n') })
    },
  }
}

function licenceOf(folder: string): { name: string; text: string } {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { name: string; version: string; license: string }
  const file = readdirSync(folder).find((entry) => /^licen[cs]e([-._].*)?$/i.test(entry))
  if (!file) throw new Error(`${name} in ${dirname(folder)} has no licence file`)
  return { name: `${name} ${version}, ${license}`, text: readFileSync(join(folder, file), 'utf8') }
}
