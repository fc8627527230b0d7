import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { JournalError } from './errors.js'

/** A folder that only one publisher uses. */
export interface Lock {
  release(): void
}

/** The folders of this process, because its publishers all have the same pid. */
const held = new Set<string>()

/**
 * Locks a folder with a file that has the pid. The lock of a process that has ended
 * is taken over. The lock does not work between processes that do not see each other's
 * pids (containers that share a volume): each needs a folder of its own.
 *
 * @throws JournalError when another publisher has the folder.
 */
export function lock(dir: string): Lock {
  const folder = resolve(dir)
  const path = join(folder, 'outbox.lock')
  if (held.has(folder)) throw new JournalError(`${dir} is in use by another publisher of this process`)
  for (let takenOver = false; ; takenOver = true) {
    try {
      writeFileSync(path, `${process.pid}\n`, { flag: 'wx' })
      break
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw new JournalError(`lock ${path}`, { cause: error })
    }
    const pid = owner(path)
    if (takenOver || (pid !== process.pid && isAlive(pid))) throw new JournalError(`${dir} is in use by the process ${pid}`)
    rmSync(path, { force: true })
  }
  held.add(folder)
  return {
    release() {
      if (held.delete(folder)) rmSync(path, { force: true })
    },
  }
}

/** The pid in a lock; 0 for an incomplete file. */
function owner(path: string): number {
  try {
    return Number.parseInt(readFileSync(path, 'utf8'), 10) || 0
  } catch {
    return 0 // gone meanwhile
  }
}

function isAlive(pid: number): boolean {
  if (pid <= 0) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
