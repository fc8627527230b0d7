import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A piece of code in a page of the docs, whose first line names its file. */
const fenced = /^```tsx?\n\/\/ (\S+)\n([\s\S]*?)^```$/gm

/** Writes the pieces of code of a page into a folder of their own, and returns their names. */
export function extract(page: string, folder: string): string[] {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const text = readFileSync(page, 'utf8')
  const names: string[] = []
  for (const [, name, code] of text.matchAll(fenced)) {
    names.push(name as string)
    writeFileSync(join(folder, name as string), code as string)
  }
  const all = text.match(/^```tsx?$/gm)?.length ?? 0
  if (all !== names.length) throw new Error(`${page}: ${all - names.length} pieces of code do not begin with their file's name`)
  return names
}
