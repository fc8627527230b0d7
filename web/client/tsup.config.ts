import { readFileSync, writeFileSync } from 'node:fs'
import { defineConfig } from 'tsup'

/**
 * Only the hooks are marked "use client". The entry for react-query imports them as
 * a file of their own: in one file with the rest, all of it would be client code,
 * or the mark would be lost.
 */
const hooksApart = {
  name: 'hooks-apart',
  setup(build: { initialOptions: { outExtension?: Record<string, string> }; onResolve: (options: { filter: RegExp }, found: (args: { importer: string }) => object | undefined) => void }) {
    const extension = build.initialOptions.outExtension?.['.js'] ?? '.js'
    build.onResolve({ filter: /^\.\/hooks\.js$/ }, ({ importer }) =>
      /react-query[\\/]index\.ts$/.test(importer) ? { path: `./react-query-hooks${extension}`, external: true } : undefined)
  },
}

export default defineConfig({
  entry: {
    index: 'src/index.ts', react: 'src/react/index.ts', 'react-query': 'src/react-query/index.ts', 'react-query-hooks': 'src/react-query/hooks.ts',
  },
  format: ['esm', 'cjs'],
  splitting: true, // the context of React has to be one, in CommonJS too
  target: 'es2022',
  dts: true,
  sourcemap: true,
  clean: true,
  esbuildPlugins: [hooksApart],
  // In CommonJS, helpers are put in front of the mark, which counts only at the top.
  onSuccess: async () => {
    for (const name of ['react', 'react-query-hooks']) {
      const file = `dist/${name}.cjs`
      writeFileSync(file, `"use client";${readFileSync(file, 'utf8')}`)
    }
  },
})
