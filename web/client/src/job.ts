import type { ErrorPayload, CaughtUp, Gap } from './generated.js'
import { type JobEvent, wireVersion } from './contract.js'
import type { Fallback } from './fallback.js'
import type { Diagnostic } from './options.js'
import type { Reason, Status } from './status.js'

/** What a subscriber is told. Each is called as things arrive, in the order of the log. */
export interface JobHandlers {
  /** Begin after this sequence, from a page that was fetched, or a visit before. Default: the newest events, 250 unless the gateway is set otherwise. */
  since?: number | undefined
  /** The epoch in which `since` counts, from {@link Position}, where it was kept for long. */
  epoch?: string | undefined
  /** One event. `replayed` tells history from what happens now. */
  onEvent?: (event: JobEvent, context: { replayed: boolean }) => void
  /** The subscription's status has changed. */
  onStatus?: (status: Status) => void
  /** All of history has been delivered; what follows is live. Also after each reconnection. */
  onCaughtUp?: (caughtUp: CaughtUp) => void
  /**
   * Events are gone for good. After `epoch-changed` the log is another one: drop
   * what was accumulated, sequences begin anew. After `erased`, drop it too.
   */
  onGap?: (gap: Gap) => void
  /** The server refused this subscription, or ended it; the status has it too. */
  onError?: (error: ErrorPayload) => void
}

/** Where a subscriber is in the log: what `since` and `epoch` take later. */
export interface Position {
  sequence?: number | undefined
  epoch?: string | undefined
}

type HandlerName = 'onEvent' | 'onStatus' | 'onCaughtUp' | 'onGap' | 'onError'

/** How many events without a sequence are remembered. */
const maxUnlogged = 1000

/**
 * One subscriber of a job. `cursor` is the sequence of the last event it was
 * told; nothing up to there is told again. While `open` is false, what arrives is
 * the answer to somebody else's request, and may begin too late for this one.
 */
export class Listener {
  cursor: number | undefined
  open = false
  caughtUp = false
  status: Status = { state: 'idle' }

  constructor(readonly handlers: JobHandlers) {
    this.cursor = handlers.since
  }
}

/**
 * A job that is followed, by one subscription at the server and any number of
 * listeners here. Handlers may end listeners, and add some, while it tells them
 * something: a set can be walked meanwhile, and who is added is not open yet.
 */
export class Job {
  readonly listeners = new Set<Listener>()
  epoch: string | undefined
  /** Set while `epoch` is that of a request whose replay has not ended: a change of epoch is told after it. */
  epochIsNew = false
  /** The sequence after which the newest events began, when they were asked for: a listener that comes later begins there too. */
  from: number | undefined
  /**
   * Those for whom the newest events have been asked for, and of which nothing has
   * come yet. Others that want the same can still join them; for anybody else the
   * job has to be asked for again afterwards, from a position that is known then.
   */
  fresh: { listeners: Listener[]; granted: boolean } | undefined
  /** How often the server has been asked: only the answer to the last counts. */
  requests = 0
  /** There is somebody who waits for what `fresh` asked for. */
  waiting = false
  /** Events that are not in the log, by their text: told once, and to those who come later. */
  readonly #unlogged = new Map<string, JobEvent>()
  /** Why the server does not serve this job. */
  refusal: Reason | undefined
  /** What carries the job while there is no socket. */
  via: 'sse' | 'rest' | undefined
  /** What stands in for the socket. */
  fallback: Fallback | undefined
  /** When a refused job is asked for again. */
  retry: ReturnType<typeof setTimeout> | undefined

  constructor(
    readonly id: string,
    readonly diagnose: (diagnostic: Diagnostic) => void,
  ) {}

  /**
   * Whom to ask for next, and from where. Those who want the newest events are
   * served first, alone: where those begin has to be known before anybody else's
   * position can be put in one request with theirs.
   */
  next(): { listeners: Listener[]; since: number | undefined; epoch: string | undefined } {
    const all = [...this.listeners]
    const listeners = this.from === undefined ? all.filter(({ cursor }) => cursor === undefined) : []
    this.fresh = undefined
    this.waiting = false
    if (listeners.length > 0) {
      for (const listener of all) listener.open = false
      this.waiting = listeners.length < all.length
      this.fresh = { listeners, granted: false }
      return { listeners, since: undefined, epoch: undefined }
    }
    return { listeners: all, since: this.least(), epoch: this.epoch }
  }

  /** What every listener has been told up to; undefined when one has not been told anything. */
  least(): number | undefined {
    const least = Math.min(...[...this.listeners].map(({ cursor = this.from ?? NaN }) => cursor))
    return Number.isNaN(least) ? undefined : least
  }

  /** From here on what arrives answers a request for these. */
  opened(listeners: Listener[]): void {
    if (this.fresh?.listeners === listeners) this.fresh.granted = true
    for (const listener of listeners) {
      const late = !listener.open && listener.cursor === undefined
      listener.open = true
      if (late) for (const event of this.#unlogged.values()) this.tell(listener, 'onEvent', event, { replayed: true })
    }
  }

  /** Something has come. Whether somebody waited for that, and has to be asked for now. */
  placed(caughtUp: boolean): boolean {
    if (!this.fresh?.granted || (this.from === undefined && !caughtUp)) return false
    this.fresh = undefined
    return this.waiting && this.listeners.size > 0
  }

  /** What carried the job is gone. */
  lost(): void {
    for (const listener of this.listeners) listener.caughtUp = false
    this.epochIsNew = this.waiting = false
    this.fresh = undefined
  }

  event(event: JobEvent): void {
    const { sequence } = event
    const { version } = event as { version?: number }
    const later = version !== undefined && version > wireVersion
    // A replay is for who is there, as often as it is made.
    if (sequence === undefined && !event.replay) {
      const key = JSON.stringify(event)
      if (this.#unlogged.has(key)) return
      if (this.#unlogged.size < maxUnlogged) this.#unlogged.set(key, event)
    }
    for (const listener of this.listeners) {
      if (!listener.open) continue
      if (sequence !== undefined) {
        if (listener.cursor === undefined) this.from ??= sequence - 1
        else if (sequence <= listener.cursor) continue
        listener.cursor = sequence
      }
      if (!later) this.tell(listener, 'onEvent', event, { replayed: !listener.caughtUp })
    }
    if (later) this.diagnose({ code: 'unsupported-version', jobId: this.id, version, sequence })
  }

  caughtUp(caughtUp: CaughtUp): void {
    this.epochIsNew = false
    for (const listener of this.listeners) {
      if (!listener.open) continue
      listener.caughtUp = true
      if (listener.cursor === undefined) this.from ??= caughtUp.from
      listener.cursor = Math.max(listener.cursor ?? 0, caughtUp.to)
      this.tell(listener, 'onCaughtUp', caughtUp)
    }
  }

  gap(gap: Gap): void {
    const { reason, firstAvailable } = gap
    const another = reason === 'epoch-changed'
    if (reason !== 'retention') this.#unlogged.clear()
    if (another) {
      this.from = undefined
      if (!this.epochIsNew) this.epoch = undefined
    } else if (this.from !== undefined) this.from = Math.max(this.from, firstAvailable - 1)
    for (const listener of this.listeners) {
      if (!listener.open) continue
      const { cursor } = listener
      if (another) listener.cursor = undefined
      else if (cursor !== undefined) {
        listener.cursor = Math.max(cursor, firstAvailable - 1) // so that it is told once
        if (reason === 'retention' && cursor === listener.cursor) continue // it has what is gone
      }
      this.tell(listener, 'onGap', gap)
    }
  }

  error(error: ErrorPayload): void {
    for (const listener of this.listeners) this.tell(listener, 'onError', error)
  }

  /** Calls a handler. One that throws takes nothing from the others. */
  tell<Name extends HandlerName>({ handlers }: Listener, name: Name, ...args: Parameters<Required<JobHandlers>[Name]>): void {
    try {
      const handler = handlers[name] as ((...args: unknown[]) => void) | undefined
      handler?.(...args)
    } catch (error) {
      this.diagnose({ code: 'handler-threw', jobId: this.id, error })
    }
  }
}
