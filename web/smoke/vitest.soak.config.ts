import { defineConfig } from 'vitest/config'
import { limits } from '../vitest.limits.js'

export default defineConfig({
  test: {
    ...limits,
    name: 'soak',
    include: ['soak/**/*.soak.ts'],
    globalSetup: ['support/setup.ts'],
  },
})
