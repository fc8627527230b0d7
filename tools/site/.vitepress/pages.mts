import { readdirSync, readFileSync } from 'node:fs'
import { posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { DefaultTheme } from 'vitepress'

export const root = fileURLToPath(new URL('../../../', import.meta.url))

// What git ignores, and Markdown that is not documentation.
const excluded = ['bin', 'data', 'node_modules', 'dist', 'testdata']
export const srcExclude = excluded.map((folder) => `**/${folder}/**`)

export const isReport = (page: string) => /^docs\/qa\/[\w-]+-reports\//.test(page)

const groups: { text: string; collapsed: boolean; takes: (page: string) => boolean }[] = [
  { text: 'Start', collapsed: false, takes: (page) => /^(README|docs\/(architecture|compare))\.md$/.test(page) },
  { text: 'Guides', collapsed: false, takes: (page) => /^(docs\/(guides\/.+|web\/.+|publishing)|web\/(client|demo|publisher)\/README)\.md$/.test(page) },
  { text: 'Operations', collapsed: false, takes: (page) => /^(deploy\/README|docs\/(ops\/.+|security))\.md$/.test(page) },
  { text: 'Contracts', collapsed: false, takes: (page) => /^docs\/(contracts|api)\/.+\.md$/.test(page) },
  { text: 'Reference', collapsed: false, takes: (page) => /^docs\/(configuration|errors|metrics|benchmarks|licences)\.md$/.test(page) },
  { text: 'Decisions', collapsed: true, takes: (page) => /^docs\/adr\/.+\.md$/.test(page) },
  { text: 'Quality', collapsed: true, takes: (page) => /^(docs\/qa\/[^/]+|web\/smoke\/README)\.md$/.test(page) },
  { text: 'Reports of runs', collapsed: true, takes: isReport },
  { text: 'Project', collapsed: true, takes: (page) => /^(CONTRIBUTING|CHANGELOG)\.md$/.test(page) },
]

function find(folder: string): string[] {
  return readdirSync(root + folder, { withFileTypes: true }).flatMap((entry) => {
    const path = posix.join(folder, entry.name)
    if (entry.isDirectory()) {
      return entry.name.startsWith('.') || excluded.includes(entry.name) ? [] : find(path)
    }
    return entry.name.endsWith('.md') ? [path] : []
  })
}

// A folder's README is its start page, and the first in the navigation.
const key = (page: string) => page.replace(/README\.md$/, '')
export const pages = find('').sort((a, b) => (key(a) < key(b) ? -1 : 1))

export const rewrites = Object.fromEntries(
  pages.filter((page) => posix.basename(page) === 'README.md').map((page) => [page, posix.join(posix.dirname(page), 'index.md')]),
)

function title(page: string): string {
  const heading = /^# (.+)$/m.exec(readFileSync(root + page, 'utf8'))
  if (!heading) {
    throw new Error(`${page} has no heading`)
  }
  // Several reports have the same heading.
  return isReport(page) ? page.replace(/^docs\/qa\//, '').replace(/(\/report)?\.md$/, '') : heading[1].replaceAll('`', '')
}

const link = (page: string) => '/' + (rewrites[page] ?? page).replace(/(index)?\.md$/, '')

// Every page is in the sidebar: one that no group takes ends the build.
export function sidebar(): DefaultTheme.SidebarItem[] {
  const left = new Set(pages)
  const items = groups.map(({ text, collapsed, takes }) => {
    const taken = pages.filter((page) => left.has(page) && takes(page))
    taken.forEach((page) => left.delete(page))
    return { text, collapsed, items: taken.map((page) => ({ text: title(page), link: link(page) })) }
  })
  if (left.size > 0) {
    throw new Error(`no group of the sidebar takes ${[...left].join(', ')}`)
  }
  return items
}
