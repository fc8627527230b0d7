import { readFileSync, readdirSync } from 'node:fs'
import { posix } from 'node:path'

// deadAnchors returns the links of a built site to headings that do not exist. VitePress
// itself checks pages, and not their headings.
export function deadAnchors(folder: string): string[] {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.html'))
  const text = new Map(files.map((file) => [file, readFileSync(posix.join(folder, file), 'utf8')]))
  const ids = new Map([...text].map(([file, html]) => [file, new Set([...html.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id))]))
  const dead: string[] = []
  for (const [file, html] of text) {
    for (const [, path, anchor] of html.matchAll(/ href="([^":#]*)#([^"]+)"/g)) {
      let target = path === '' ? file : path.startsWith('/') ? path.slice(1) : posix.join(posix.dirname(file), path)
      if (target === '' || target.endsWith('/') || target === '.') {
        target = posix.join(target, 'index.html')
      }
      if (!ids.get(target)?.has(decodeURIComponent(anchor))) {
        dead.push(`${file}: ${path}#${anchor}`)
      }
    }
  }
  return dead
}
