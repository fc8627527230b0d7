import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { TestProject } from 'vitest/node'

declare module 'vitest' {
  interface ProvidedContext {
    /** The folder of the compiled commands. */
    programs: string
  }
}

const root = fileURLToPath(new URL('../../../', import.meta.url))

/** Where each scenario leaves its pictures; git ignores it. */
export const screenshots = fileURLToPath(new URL('../screenshots/', import.meta.url))

/** Compiles the commands of the tree once for all scenarios. A soak has its own, so that smokes can run beside it. */
export default function setup(project: TestProject): void {
  for (const [program, argument] of [['redis-server', '--version'], ['go', 'version'], [chromium(), '--version']] as const) {
    try {
      execFileSync(program, [argument], { stdio: 'ignore' })
    } catch {
      throw new Error(`${program} is missing: the smoke needs Go, redis-server and Chromium`)
    }
  }
  if (project.name === 'smoke') rmSync(screenshots, { recursive: true, force: true })
  mkdirSync(screenshots, { recursive: true })
  const programs = fileURLToPath(new URL(`../bin/${project.name}/`, import.meta.url))
  execFileSync('go', ['build', '-o', programs, './cmd/realtime', './cmd/realtime-dev'], { cwd: root, stdio: 'inherit' })
  project.provide('programs', programs)
}

/** The browser's program: CHROMIUM, or Debian's. */
export function chromium(): string {
  return process.env['CHROMIUM'] ?? '/usr/bin/chromium'
}
