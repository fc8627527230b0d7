import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    name: 'soak',
    include: ['soak/**/*.soak.ts'],
    globalSetup: ['support/setup.ts'],
    hookTimeout: 60_000,
  },
})
