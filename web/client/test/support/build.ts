import type { TestProject } from 'vitest/node'
import { build, missing, scratch } from '../../../publisher/test/support/servers.js'

declare module 'vitest' {
  interface ProvidedContext {
    /** Path of the gateway, compiled from the tree; empty when a program is missing for it. */
    gateway: string
  }
}

/** Compiles the gateway once for all test files. */
export default function setup(project: TestProject): () => void {
  if (missing() !== undefined) {
    project.provide('gateway', '')
    return () => {}
  }
  const { dir, remove } = scratch()
  project.provide('gateway', build(dir))
  return remove
}
