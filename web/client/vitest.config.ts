import { defineConfig } from 'vitest/config'
import { limits } from '../vitest.limits.js'

export default defineConfig({
  test: {
    ...limits,
    include: ['test/**/*.test.{ts,tsx}'],
    // The gateway allows the page of the tests; its health, which they wait for, is for servers.
    environmentOptions: { happyDOM: { settings: { fetch: { disableSameOriginPolicy: true } } } },
    globalSetup: ['test/support/build.ts'],
  },
})
