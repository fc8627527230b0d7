import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

interface Manifest {
  exports: Record<string, unknown>
  main: string
  module: string
  types: string
  repository: { directory: string }
  publishConfig: { access: string; provenance: boolean }
}

/** The files that npm would publish of the package in a folder, and its package.json. */
export function packed(folder: string): { files: string[]; manifest: Manifest } {
  const output = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  const [listing] = JSON.parse(output) as { files: { path: string }[] }[]
  return {
    files: (listing?.files ?? []).map((file) => file.path),
    manifest: JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest,
  }
}

/** Every file that package.json points to, without the leading "./". */
export function targets(manifest: Manifest): string[] {
  const collect = (value: unknown): string[] =>
    typeof value === 'string' ? [value] : Object.values((value ?? {}) as Record<string, unknown>).flatMap(collect)
  return [manifest.main, manifest.module, manifest.types, ...collect(manifest.exports)].map((path) => path.replace('./', ''))
}
