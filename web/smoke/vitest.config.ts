import { defineConfig } from 'vitest/config'

// One browser and one gateway at a time: the budgets in the scenarios are those
// of one reader, on two cores.
export default defineConfig({
  test: {
    name: 'smoke',
    include: ['scenarios/**/*.test.ts'],
    globalSetup: ['support/setup.ts'],
    fileParallelism: false,
    isolate: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})
