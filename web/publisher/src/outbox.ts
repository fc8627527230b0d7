import type { Receipt } from './receipt.js'

/** One event between `publish` and its receipt. */
export interface Entry {
  readonly id: string
  readonly jobId: string
  /** The envelope's JSON: every repetition sends the same bytes. */
  readonly body: string
  readonly bytes: number
  readonly acceptedAt: number
  /** The time of its first turn; 0 before. */
  firstTriedAt: number
  /** How often it was sent. */
  attempts: number
  /** Whether it has left the outbox. */
  settled: boolean
  readonly promise: Promise<Receipt>
  readonly resolve: (receipt: Receipt) => void
  readonly reject: (error: Error) => void
}

/** The key of an event: an id belongs to its job. A jobId has no control characters. */
export function eventKey(jobId: string, id: string): string {
  return `${jobId}\n${id}`
}

/** The bounds of an {@link Outbox}. */
export interface Bounds {
  maxEvents: number
  maxBytes: number
}

/** The bounded queue of events that wait for their receipts; the events of each job are in order. */
export class Outbox {
  readonly #bounds: Bounds
  readonly #waiting = new Map<string, Entry>() // by eventKey
  readonly #jobs = new Map<string, Entry[]>()
  #bytes = 0

  constructor(bounds: Bounds) {
    this.#bounds = bounds
  }

  get events(): number {
    return this.#waiting.size
  }

  get bytes(): number {
    return this.#bytes
  }

  /** When the oldest waiting event was accepted; undefined when none waits. */
  get oldest(): number | undefined {
    // A Map keeps the order of insertion.
    for (const entry of this.#waiting.values()) return entry.acceptedAt
    return undefined
  }

  /** Reports whether one more event fits. */
  fits(bytes: number): boolean {
    return this.events < this.#bounds.maxEvents && this.#bytes + bytes <= this.#bounds.maxBytes
  }

  /** Reports whether at most three quarters of both bounds are in use. */
  get hasRoom(): boolean {
    return this.events <= this.#bounds.maxEvents * 0.75 && this.#bytes <= this.#bounds.maxBytes * 0.75
  }

  find(jobId: string, id: string): Entry | undefined {
    return this.#waiting.get(eventKey(jobId, id))
  }

  /** Adds an event after those of its job, without a check of the bounds. Returns true if it is the first. */
  add(entry: Entry): boolean {
    this.#waiting.set(eventKey(entry.jobId, entry.id), entry)
    this.#bytes += entry.bytes
    const job = this.#jobs.get(entry.jobId)
    if (job) return job.push(entry) === 1
    this.#jobs.set(entry.jobId, [entry])
    return true
  }

  /** Removes the first event of its job, and returns the next one. */
  removeHead(entry: Entry): Entry | undefined {
    const job = this.#jobs.get(entry.jobId)
    if (!job || job[0] !== entry) throw new Error('an event left before those ahead of it')
    job.shift()
    this.#waiting.delete(eventKey(entry.jobId, entry.id))
    this.#bytes -= entry.bytes
    entry.settled = true
    if (job.length === 0) this.#jobs.delete(entry.jobId)
    return job[0]
  }

  /** All waiting events, the oldest first. */
  all(): Entry[] {
    return [...this.#waiting.values()]
  }
}

/** Creates the entry of an event that was just accepted. Its promise may be ignored. */
export function newEntry(id: string, jobId: string, body: string): Entry {
  let resolve!: Entry['resolve']
  let reject!: Entry['reject']
  const promise = new Promise<Receipt>((yes, no) => {
    resolve = yes
    reject = no
  })
  promise.catch(() => {}) // the callbacks report the outcome if the promise is ignored
  return {
    id, jobId, body, bytes: Buffer.byteLength(body), acceptedAt: Date.now(),
    firstTriedAt: 0, attempts: 0, settled: false, promise, resolve, reject,
  }
}
