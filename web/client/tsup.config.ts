import { defineConfig } from 'tsup'

export default defineConfig({
  entry: { index: 'src/index.ts', react: 'src/react/index.ts', 'react-query': 'src/react-query/index.ts' },
  format: ['esm', 'cjs'],
  splitting: true, // the context of React has to be one, in CommonJS too
  target: 'es2022',
  dts: true,
  sourcemap: true,
  clean: true,
})
