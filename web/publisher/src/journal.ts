import {
  closeSync, fsyncSync, ftruncateSync, mkdirSync, openSync, readFileSync, renameSync, writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { JournalError } from './errors.js'
import { type Lock, lock } from './lock.js'
import { eventKey } from './outbox.js'

/** Below this size the journal is not rewritten. */
const compactBytes = 1 << 20

/** One event in the journal. */
export interface Kept {
  jobId: string
  id: string
  /** The envelope's JSON, without line breaks, as every JSON.stringify writes it. */
  body: string
}

/**
 * The outbox on disk: one file to which lines are appended.
 *
 *     +{"version":1,…}     an event was accepted: its envelope
 *     -["job-7","01JD3M…"] its job and id: the event has left; in older files its id alone
 *
 * Each line is written with one call before the event is sent, so it survives
 * the death of the process, and with `fsync` that of the machine. If the last line
 * is incomplete, its `publish` never returned, and the line is removed.
 * When events that have left take most of the file, the rest is written to a
 * new file that replaces it.
 *
 * All calls are synchronous, so that the lines have the order of the calls.
 */
export class Journal {
  readonly #path: string
  readonly #fsync: boolean
  readonly #lock: Lock
  readonly #kept = new Map<string, Kept>() // by eventKey
  #keptBytes = 0
  #file = -1
  #bytes = 0

  /**
   * Opens the journal in a folder, which is created if it does not exist.
   *
   * @throws JournalError when another process has the folder, or the file cannot
   * be read, or a line that is not the last one is damaged.
   */
  constructor(dir: string, fsync: boolean) {
    this.#path = join(dir, 'outbox.ndjson')
    this.#fsync = fsync
    attempt(`make the folder ${dir}`, () => mkdirSync(dir, { recursive: true }))
    this.#lock = lock(dir)
    try {
      this.#load()
      attempt('write', () => this.#rewrite())
    } catch (error) {
      this.close()
      throw error
    }
  }

  /** The events that have not left, in the order in which they were accepted. */
  pending(): Kept[] {
    return [...this.#kept.values()]
  }

  /** Keeps an event. @throws JournalError when it is not on disk; it is not kept then. */
  add(jobId: string, id: string, body: string): void {
    attempt('write', () => this.#append(`+${body}\n`))
    this.#kept.set(eventKey(jobId, id), { jobId, id, body })
    this.#keptBytes += Buffer.byteLength(body) + 2
  }

  /** Removes an event. @throws JournalError when that is not on disk: the event is sent again after a restart. */
  remove(jobId: string, id: string): void {
    const key = eventKey(jobId, id)
    const kept = this.#kept.get(key)
    if (kept === undefined) return
    this.#kept.delete(key)
    this.#keptBytes -= Buffer.byteLength(kept.body) + 2
    attempt('write', () => {
      this.#append(`-${JSON.stringify([jobId, id])}\n`)
      if (this.#bytes > compactBytes && this.#bytes > 2 * this.#keptBytes) this.#rewrite()
    })
  }

  /** Releases the folder. */
  close(): void {
    if (this.#file >= 0) closeSync(this.#file)
    this.#file = -1
    this.#lock.release()
  }

  #append(line: string): void {
    const data = Buffer.from(line)
    try {
      write(this.#file, data, this.#bytes)
      if (this.#fsync) fsyncSync(this.#file)
    } catch (error) {
      // A partial line must not be followed by another line. Lines are written by position,
      // so that the next line overwrites a part that cannot be removed now.
      try {
        ftruncateSync(this.#file, this.#bytes)
      } catch {
        // The thrown error has the cause.
      }
      throw error
    }
    this.#bytes += data.length
  }

  /** Writes the kept events to a new file beside the old one, and replaces the old one. */
  #rewrite(): void {
    const fresh = `${this.#path}.new`
    const data = Buffer.from([...this.#kept.values()].map(({ body }) => `+${body}\n`).join(''))
    const file = openSync(fresh, 'w')
    try {
      write(file, data, 0)
      fsyncSync(file)
      renameSync(fresh, this.#path)
      if (this.#fsync) syncDirectory(dirname(this.#path))
    } catch (error) {
      closeSync(file)
      throw error
    }
    if (this.#file >= 0) closeSync(this.#file)
    this.#file = file
    this.#bytes = data.length
    this.#keptBytes = data.length
  }

  #load(): void {
    let text: string
    try {
      text = readFileSync(this.#path, 'utf8')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
      throw new JournalError(`read ${this.#path}`, { cause: error })
    }
    const lines = text.split('\n')
    lines.pop() // empty, or the line that was not finished
    const jobs = new Map<string, string>() // of each id, for ends that were written without the job
    lines.forEach((line, n) => {
      try {
        this.#take(line, jobs)
      } catch (error) {
        throw new JournalError(`${this.#path}: line ${n + 1} of ${lines.length} is damaged; mend or move the file`, { cause: error })
      }
    })
  }

  #take(line: string, jobs: Map<string, string>): void {
    const value: unknown = JSON.parse(line.slice(1))
    if (line.startsWith('-')) {
      const [jobId, id] = typeof value === 'string' ? [jobs.get(value) ?? '', value] : (value as unknown[])
      if (typeof jobId !== 'string' || typeof id !== 'string') throw new Error('not the end of an event')
      this.#kept.delete(eventKey(jobId, id))
      return
    }
    const { id, jobId } = (value ?? {}) as { id?: unknown; jobId?: unknown }
    if (!line.startsWith('+') || typeof id !== 'string' || typeof jobId !== 'string') throw new Error('neither an event nor its end')
    jobs.set(id, jobId)
    this.#kept.set(eventKey(jobId, id), { jobId, id, body: line.slice(1) })
  }
}

/** Writes everything: one call may write less. */
function write(file: number, data: Buffer, position: number): void {
  for (let done = 0; done < data.length; ) done += writeSync(file, data, done, data.length - done, position + done)
}

/** Syncs a folder, so that a new name in it survives a power loss. */
function syncDirectory(dir: string): void {
  const folder = openSync(dir, 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}

function attempt(what: string, action: () => void): void {
  try {
    action()
  } catch (error) {
    throw error instanceof JournalError ? error : new JournalError(`journal: ${what}: ${String(error)}`, { cause: error })
  }
}
