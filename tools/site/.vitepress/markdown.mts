import { existsSync, statSync } from 'node:fs'
import { posix } from 'node:path'
import type { MarkdownOptions } from 'vitepress'
import { pages, rewrites, root } from './pages.mjs'

export const repository = 'https://github.com/letswriteabook/realtime'

type Renderer = Parameters<NonNullable<MarkdownOptions['config']>>[0]

// slugify is GitHub's: the pages link each other's headings by it.
export const slugify = (heading: string) =>
  heading.toLowerCase().replace(/[^\p{L}\p{N}\p{M}_\- ]/gu, '').replaceAll(' ', '-')

// resolve returns where a link of a page leads on the site. What is no page, such as a
// schema or a source file, is in the repository.
export function resolve(page: string, href: string): string {
  if (/^([a-z][a-z\d+.-]*:|\/\/|#)/i.test(href)) {
    return href
  }
  const [, path, hash] = /^([^#]*)(.*)$/.exec(href)!
  const target = posix.join(posix.dirname(page), decodeURI(path))
  if (rewrites[target]) {
    return path.replace(/README\.md$/, 'index.md') + hash
  }
  if (pages.includes(target)) {
    return href
  }
  if (target.startsWith('..') || !existsSync(root + target)) {
    throw new Error(`${page} links ${href}, which does not exist`)
  }
  return `${repository}/${statSync(root + target).isDirectory() ? 'tree' : 'blob'}/main/${target}${hash}`
}

function links(md: Renderer) {
  md.core.ruler.push('links', ({ tokens, env }) => {
    // The search renders pages with their path, the build also with the one before rewriting.
    const page = posix.relative(root, env.realPath ?? env.path)
    for (const token of tokens.flatMap(({ children }) => children ?? [])) {
      const name = token.type === 'link_open' ? 'href' : token.type === 'image' ? 'src' : ''
      const value = name && token.attrGet(name)
      if (name && value) {
        token.attrSet(name, resolve(page, value))
      }
    }
  })
}

// The pages are plain Markdown, while VitePress makes Vue components of them: HTML, such as
// <job>, is escaped, comments are left out, and {{ begins no expression.
function plain(md: Renderer) {
  const visible = (html: string) => html.replace(/<!--[^]*?-->/g, '')
  const literal = (html: string) => html.replaceAll('{{', '<span v-pre>{{</span>')
  // The rules that run later insert HTML of their own into headings.
  md.core.ruler.after('inline', 'plain', ({ tokens }) => {
    for (const token of tokens.flatMap(({ children }) => children ?? [])) {
      if (token.type === 'html_inline') {
        token.type = 'text'
        token.content = visible(token.content)
      }
      if (token.type === 'code_inline') {
        token.attrSet('v-pre', '')
      }
    }
  })
  md.core.ruler.disable('emoji')
  md.renderer.rules.html_block = (tokens, i) => literal(md.utils.escapeHtml(visible(tokens[i].content)))
  const text = md.renderer.rules.text!
  md.renderer.rules.text = (...all) => literal(text(...all))
}

export const markdown: MarkdownOptions = {
  anchor: { slugify },
  attrs: { disable: true },
  languageAlias: { haproxy: 'ini' },
  config(md) {
    links(md)
    plain(md)
  },
}
