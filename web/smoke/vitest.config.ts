import { defineConfig } from 'vitest/config'
import { limits } from '../vitest.limits.js'

// One browser and one gateway at a time: the budgets in the scenarios are those
// of one reader, on two cores.
export default defineConfig({
  test: {
    ...limits,
    name: 'smoke',
    include: ['scenarios/**/*.test.ts'],
    globalSetup: ['support/setup.ts'],
    fileParallelism: false,
    isolate: false,
  },
})
