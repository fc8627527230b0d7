import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitepress'
import { deadAnchors } from './anchors.mjs'
import { markdown, repository } from './markdown.mjs'
import { isReport, rewrites, root, sidebar, srcExclude } from './pages.mjs'

// The site has the Markdown pages of the repository, from where they are.
export default defineConfig({
  lang: 'en',
  title: 'Realtime',
  description: 'An event-sourced realtime service in Go',
  head: [['link', { rel: 'icon', href: 'data:,' }]], // or browsers ask for /favicon.ico
  srcDir: root,
  srcExclude,
  rewrites,
  outDir: './dist',
  cacheDir: './node_modules/.vitepress',
  ignoreDeadLinks: 'localhostLinks',
  markdown,
  vite: {
    build: { chunkSizeWarningLimit: 4096 }, // kB; the index of the search is one chunk
    plugins: [
      {
        // The pages are outside of this folder, which has the packages.
        name: 'packages',
        enforce: 'pre',
        resolveId(id) {
          return /^vue($|\/)/.test(id) ? this.resolve(id, fileURLToPath(import.meta.url), { skipSelf: true }) : null
        },
      },
    ],
  },
  buildEnd({ outDir }) {
    const dead = deadAnchors(outDir)
    if (dead.length > 0) {
      throw new Error(`links to headings that do not exist:\n${dead.join('\n')}`)
    }
  },
  themeConfig: {
    nav: [
      { text: 'Guides', link: '/docs/publishing' },
      { text: 'Operations', link: '/deploy/' },
      { text: 'Contracts', link: '/docs/contracts/websocket' },
      { text: 'Reference', link: '/docs/configuration' },
      { text: 'Decisions', link: '/docs/adr/' },
      { text: 'Changes', link: '/CHANGELOG' },
    ],
    sidebar: sidebar(),
    outline: [2, 3],
    search: {
      provider: 'local',
      options: {
        // The pages about a report link it; its tables would fill the results.
        _render: (source, env, md) => (isReport(env.relativePath) ? '' : md.render(source, env)),
      },
    },
    socialLinks: [{ icon: 'github', link: repository }],
    editLink: { pattern: `${repository}/edit/main/:path`, text: 'Edit this page' },
  },
})
