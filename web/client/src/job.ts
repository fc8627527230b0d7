import type { ErrorPayload, CaughtUp, Gap } from './generated.js'
import { type JobEvent, wireVersion } from './contract.js'
import type { Diagnostic } from './options.js'
import type { Reason, Status } from './status.js'

/** What a subscriber is told. Each is called as things arrive, in the order of the log. */
export interface JobHandlers {
  /** Begin after this sequence, from a page that was fetched, or a visit before. Default: the newest events, 250 unless the gateway is set otherwise. */
  since?: number
  /** The epoch in which `since` counts, from {@link Position}, where it was kept for long. */
  epoch?: string
  /** One event. `replayed` tells history from what happens now. */
  onEvent?: (event: JobEvent, context: { replayed: boolean }) => void
  /** The subscription's status has changed. */
  onStatus?: (status: Status) => void
  /** All of history has been delivered; what follows is live. Also after each reconnection. */
  onCaughtUp?: (caughtUp: CaughtUp) => void
  /**
   * Events are gone for good. After `epoch-changed` the log is another one: drop
   * what was accumulated, sequences begin anew.
   */
  onGap?: (gap: Gap) => void
  /** The server refused this subscription, or ended it; the status has it too. */
  onError?: (error: ErrorPayload) => void
}

/** Where a subscriber is in the log: what `since` and `epoch` take later. */
export interface Position {
  sequence?: number
  epoch?: string
}

/** How many events without a sequence are remembered, so that they are not told again. */
const maxSeen = 1000

/**
 * One subscriber of a job. `cursor` is the sequence of the last event it was
 * told; nothing up to there is told again. While `open` is false, what arrives is
 * the answer to somebody else's request, and may begin too late for this one.
 */
export class Listener {
  cursor: number | undefined
  open = false
  /** The subscription that the socket's session holds began early enough for this one. */
  granted = false
  caughtUp = false
  status: Status = { state: 'idle' }
  readonly seen = new Set<string>()

  constructor(readonly handlers: JobHandlers) {
    this.cursor = handlers.since
  }
}

/**
 * A job that is followed, by one subscription at the server and any number of
 * listeners here.
 */
export class Job {
  readonly listeners = new Set<Listener>()
  epoch: string | undefined
  /** Set while `epoch` is that of a request whose replay has not ended: a change of epoch is told after it. */
  epochIsNew = false
  /** The sequence after which the first replay began: a listener that comes later begins there too. */
  from: number | undefined
  /** Why the server does not serve this job. */
  refusal: Reason | undefined
  /** What carries the job while there is no socket. */
  via: 'sse' | 'rest' | undefined

  constructor(
    readonly id: string,
    readonly diagnose: (diagnostic: Diagnostic) => void,
  ) {}

  /** Where a request has to begin so that no listener misses anything. */
  start(): Position {
    let sequence: number | undefined
    for (const { cursor = this.from } of this.listeners) {
      if (cursor !== undefined) sequence = Math.min(sequence ?? cursor, cursor)
    }
    if (sequence === undefined) return {}
    return this.epoch === undefined ? { sequence } : { sequence, epoch: this.epoch }
  }

  /** From here on what arrives answers a request that began where `start` said. */
  opened(listeners: Iterable<Listener>): void {
    for (const listener of listeners) listener.open = true
  }

  /** What carried the job is gone. */
  lost(): void {
    for (const listener of this.listeners) listener.caughtUp = false
    this.epochIsNew = false
  }

  event(event: JobEvent): void {
    const { sequence } = event
    const version = (event as { version?: unknown }).version
    const later = typeof version === 'number' && version > wireVersion
    let key: string | undefined
    for (const listener of [...this.listeners]) {
      if (!listener.open) continue
      if (sequence === undefined) {
        key ??= JSON.stringify(event)
        if (listener.seen.has(key)) continue
        if (listener.seen.size < maxSeen) listener.seen.add(key)
      } else {
        if (listener.cursor !== undefined && sequence <= listener.cursor) continue
        this.from ??= sequence - 1
        listener.cursor = sequence
      }
      if (!later) this.#tell(() => listener.handlers.onEvent?.(event, { replayed: !listener.caughtUp }))
    }
    if (later) this.diagnose({ code: 'unsupported-version', jobId: this.id, version, ...(sequence !== undefined && { sequence }) })
  }

  caughtUp(caughtUp: CaughtUp): void {
    this.epochIsNew = false
    for (const listener of [...this.listeners]) {
      if (!listener.open) continue
      listener.caughtUp = true
      // With nothing but events that have no sequence there is no position: 0 would ask for those again.
      if (caughtUp.to > 0 || caughtUp.replayed === 0) {
        this.from ??= caughtUp.from
        listener.cursor = Math.max(listener.cursor ?? 0, caughtUp.to)
      }
      this.#tell(() => listener.handlers.onCaughtUp?.(caughtUp))
    }
  }

  gap(gap: Gap): void {
    const another = gap.reason === 'epoch-changed'
    if (another) {
      this.from = undefined
      if (!this.epochIsNew) this.epoch = undefined
    }
    for (const listener of [...this.listeners]) {
      if (!listener.open) continue
      if (another) {
        listener.cursor = undefined
        listener.seen.clear()
      } else if (gap.reason !== 'erased' && listener.cursor !== undefined && listener.cursor >= gap.firstAvailable - 1) {
        continue // it has what is gone
      }
      this.#tell(() => listener.handlers.onGap?.(gap))
    }
  }

  /** The listener's status is another. */
  told(listener: Listener): void {
    this.#tell(() => listener.handlers.onStatus?.(listener.status))
  }

  error(error: ErrorPayload): void {
    for (const listener of [...this.listeners]) this.#tell(() => listener.handlers.onError?.(error))
  }

  /** A handler that throws takes nothing from the others. */
  #tell(call: () => void): void {
    try {
      call()
    } catch (error) {
      this.diagnose({ code: 'handler-threw', jobId: this.id, error })
    }
  }
}
