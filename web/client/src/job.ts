import type { ErrorPayload, CaughtUp, Gap } from './generated.js'
import { type JobEvent, wireVersion } from './contract.js'
import type { Fallback } from './fallback.js'
import type { Diagnostic } from './options.js'
import { formatPosition, parsePosition } from './position.js'
import type { Reason, Status } from './status.js'

/** What a subscriber is told. Each is called as things arrive, in the order of the log. */
export interface JobHandlers {
  /**
   * Begin after this position, `EPOCH:SEQUENCE`, from a page that was fetched or a
   * visit before. A number is a sequence of the present log; 0 is everything there
   * is. Default: the newest events, 250 unless the gateway is set otherwise.
   */
  since?: number | string | undefined
  /** The epoch in which `since` counts, where that is a number. */
  epoch?: string | undefined
  /** One event. */
  onEvent?: (event: JobEvent, context: EventContext) => void
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

/** What is told beside an event. */
export interface EventContext {
  /** Whether the event is history, or happens now. */
  replayed: boolean
  /** Where the subscriber is with this event, `EPOCH:SEQUENCE`: what `since` takes later. Undefined while the epoch is unknown. */
  position?: string | undefined
}

type HandlerName = 'onEvent' | 'onStatus' | 'onCaughtUp' | 'onGap' | 'onError'

/** How many events without a sequence are remembered. */
const maxUnlogged = 1000

/**
 * One subscriber of a job. `cursor` is the sequence of the last event it was
 * told, in `epoch`; nothing up to there is told again. While `open` is false, what
 * arrives is the answer to somebody else's request, and may begin too late for
 * this one.
 */
export class Listener {
  cursor: number | undefined
  epoch: string | undefined
  open = false
  caughtUp = false
  status: Status = { state: 'idle' }

  /** @throws TypeError when `since` is no position. */
  constructor(readonly handlers: JobHandlers) {
    const { since, epoch } = handlers
    if (since === undefined) return
    const position = parsePosition(`${since}`)
    if (!position) throw new TypeError(`since is ${JSON.stringify(since)}: want EPOCH:SEQUENCE or a sequence`)
    this.cursor = position.sequence
    this.epoch = position.epoch ?? epoch
  }
}

/**
 * A job that is followed, by one subscription at the server and any number of
 * listeners here. Handlers may end listeners, and add some, while it tells them
 * something: a set can be walked meanwhile, and who is added is not open yet.
 */
export class Job {
  readonly listeners = new Set<Listener>()
  /** The epoch of the log, as the gateway has said it last. */
  epoch: string | undefined
  /** Set from when a request was answered with `epoch` until its replay has ended: a gap that is told in between is about that epoch. */
  #epochIsNew = false
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
  /** Somebody was left out of the request under way, and has to be asked for after it. */
  waiting = false
  /** Events that are not in the log, by their text: told once, and to those who come later. */
  readonly #unlogged = new Map<string, JobEvent>()
  /** Why the server does not serve this job. */
  refusal: Reason | undefined
  /** What carries the job while there is no socket. */
  via: 'sse' | 'rest' | undefined
  /** What carries it has not answered since the page woke up. */
  stale = false
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
   * position can be put in one request with theirs. Positions of two epochs cannot
   * be put in one either.
   */
  next(): { listeners: Listener[]; since: number | undefined; epoch: string | undefined } {
    const all = [...this.listeners]
    const fresh = this.from === undefined ? all.filter(({ cursor }) => cursor === undefined) : []
    this.fresh = undefined
    if (fresh.length > 0) {
      for (const listener of all) listener.open = false
      this.waiting = fresh.length < all.length
      this.fresh = { listeners: fresh, granted: false }
      return { listeners: fresh, since: undefined, epoch: undefined }
    }
    const epochs = all.flatMap(({ epoch }) => epoch ?? [])
    const epoch = this.epoch !== undefined && (epochs.length < all.length || epochs.includes(this.epoch)) ? this.epoch : epochs[0]
    const listeners = all.filter((listener) => (listener.epoch ?? epoch) === epoch)
    for (const listener of all) if (!listeners.includes(listener)) listener.open = false
    this.waiting = listeners.length < all.length
    return { listeners, since: this.least(listeners), epoch }
  }

  /** What each of these has been told up to; undefined when one has not been told anything. */
  least(listeners: Listener[] = [...this.listeners]): number | undefined {
    const least = Math.min(...listeners.map(({ cursor = this.from ?? NaN }) => cursor))
    return Number.isNaN(least) ? undefined : least
  }

  /**
   * The gateway has said which epoch the log is in. Positions of another one mean
   * nothing any more: who has such a position is told the gap, and gets the newest
   * events. `answers` says that this is the answer to a request, before its replay.
   * Reports whether there was anybody.
   */
  inEpoch(epoch: string, answers = false): boolean {
    this.epoch = epoch
    if (answers) this.#epochIsNew = true
    const outdated = [...this.listeners].filter((listener) => listener.cursor !== undefined && (listener.epoch ?? epoch) !== epoch)
    if (outdated.length > 0) this.#begin()
    for (const listener of this.listeners) listener.epoch = epoch
    for (const listener of outdated) {
      const requested = listener.cursor as number
      listener.cursor = undefined
      listener.caughtUp = false
      if (!listener.open) this.waiting = true
      this.tell(listener, 'onGap', { jobId: this.id, requested, firstAvailable: 0, reason: 'epoch-changed' })
    }
    return outdated.length > 0
  }

  /** What was kept of another epoch is void. */
  #begin(): void {
    this.from = undefined
    this.#unlogged.clear()
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
    if (this.fresh ? !this.fresh.granted || (this.from === undefined && !caughtUp) : !caughtUp) return false
    this.fresh = undefined
    return this.waiting && this.listeners.size > 0
  }

  /** What carried the job is gone. */
  lost(): void {
    for (const listener of this.listeners) listener.caughtUp = false
    this.#epochIsNew = this.waiting = false
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
      if (!later) this.tell(listener, 'onEvent', event, { replayed: !listener.caughtUp, position: positionOf(listener) })
    }
    if (later) this.diagnose({ code: 'unsupported-version', jobId: this.id, version, sequence })
  }

  /** An event that nobody can read is passed over: what follows is asked for from after it. */
  passOver(sequence: number): void {
    for (const listener of this.listeners) {
      if (!listener.open || sequence <= (listener.cursor ?? -1)) continue
      if (listener.cursor === undefined) this.from ??= sequence - 1
      listener.cursor = sequence
    }
  }

  caughtUp(caughtUp: CaughtUp): void {
    const epoch = caughtUp.position && parsePosition(caughtUp.position)?.epoch
    if (epoch) this.epoch ??= epoch
    this.#epochIsNew = false
    for (const listener of this.listeners) {
      if (!listener.open) continue
      listener.caughtUp = true
      if (epoch) listener.epoch ??= epoch
      if (listener.cursor === undefined) this.from ??= caughtUp.from
      listener.cursor = Math.max(listener.cursor ?? 0, caughtUp.to)
      this.tell(listener, 'onCaughtUp', caughtUp)
    }
  }

  gap(gap: Gap & { epoch?: string }): void {
    const { reason, firstAvailable } = gap
    if (reason === 'epoch-changed') return this.#anotherLog(gap, gap.epoch ?? (this.#epochIsNew ? this.epoch : undefined))
    if (reason === 'erased') this.#unlogged.clear()
    if (this.from !== undefined) this.from = Math.max(this.from, firstAvailable - 1)
    for (const listener of this.listeners) {
      if (!listener.open) continue
      const { cursor } = listener
      if (cursor !== undefined) {
        listener.cursor = Math.max(cursor, firstAvailable - 1) // so that it is told once
        if (reason === 'retention' && cursor === listener.cursor) continue // it has what is gone
      }
      this.tell(listener, 'onGap', gap)
    }
  }

  /** The gateway tells those who are served that the log is another one. Who has no position was told before, or has nothing to lose. */
  #anotherLog(gap: Gap, epoch: string | undefined): void {
    const served = [...this.listeners].filter(({ open, cursor }) => open && cursor !== undefined)
    if (served.length > 0) this.#begin()
    for (const listener of served) {
      listener.cursor = listener.epoch = undefined
      listener.caughtUp = false
    }
    for (const listener of served) this.tell(listener, 'onGap', gap)
    this.epoch = epoch
    if (epoch !== undefined) this.inEpoch(epoch)
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

/** Where a listener is, for a later `since`; undefined while the epoch is unknown, as a sequence alone may be taken for one of another log. */
export function positionOf({ cursor, epoch }: Listener): string | undefined {
  return epoch === undefined ? undefined : formatPosition({ sequence: cursor, epoch })
}
