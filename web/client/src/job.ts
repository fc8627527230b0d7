import type { ErrorPayload, CaughtUp, Gap } from './generated.js'
import { type JobEvent, wireVersion } from './contract.js'
import type { Fallback } from './fallback.js'
import type { Diagnostic } from './options.js'
import { formatPosition, parsePosition } from './position.js'
import type { Reason, Status } from './status.js'

/** The handlers of a subscriber. They are called in the order of the log. */
export interface JobHandlers {
  /**
   * Begin after this position, `EPOCH:SEQUENCE`, of a fetched page or an earlier
   * visit. A number is a sequence of the present log; 0 requests every event of the
   * job. Default: the newest events, 250 unless the gateway is configured otherwise.
   */
  since?: number | string | undefined
  /** The epoch of `since`, if `since` is a number. */
  epoch?: string | undefined
  /** One event. */
  onEvent?: (event: JobEvent, context: EventContext) => void
  /** The subscription's status has changed. */
  onStatus?: (status: Status) => void
  /** History has been delivered in full, and live events follow. Also called after each reconnection. */
  onCaughtUp?: (caughtUp: CaughtUp) => void
  /**
   * Events no longer exist. After `epoch-changed` the log is another one, with sequences of
   * its own: drop the accumulated events. After `erased`, drop them too.
   */
  onGap?: (gap: Gap) => void
  /** The server refused this subscription, or ended it; the status has it too. */
  onError?: (error: ErrorPayload) => void
}

/** The context of an event. */
export interface EventContext {
  /** Whether the event is history and not live. */
  replayed: boolean
  /** The position of the subscriber after this event, `EPOCH:SEQUENCE`, for a later `since`. Undefined while the epoch is unknown. */
  position?: string | undefined
}

type HandlerName = 'onEvent' | 'onStatus' | 'onCaughtUp' | 'onGap' | 'onError'

/** How many events without a sequence are remembered. */
const maxUnlogged = 1000

/**
 * One subscriber of a job. `cursor` is the sequence of the last event that it
 * received, in `epoch`; it receives no event up to there again. While `open` is false, the
 * arriving events answer a request for other listeners, and may begin too late for
 * this one.
 */
export class Listener {
  cursor: number | undefined
  epoch: string | undefined
  open = false
  caughtUp = false
  status: Status = { state: 'idle' }

  /** @throws TypeError if `since` is not a position. */
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
 * A followed job, with one subscription at the server and any number of
 * listeners here. Handlers may end and add listeners while they are called: a set
 * can be changed during an iteration, and an added listener is not open yet.
 */
export class Job {
  readonly listeners = new Set<Listener>()
  /** The epoch of the log that the gateway has sent last. */
  epoch: string | undefined
  /** Set from the answer to a request, which has `epoch`, to the end of its replay: a gap that arrives meanwhile is about that epoch. */
  #epochIsNew = false
  /** The sequence after which the newest events began when they were requested: a listener that is added later begins there too. */
  from: number | undefined
  /**
   * The listeners for whom the newest events have been requested, while none of the events
   * has arrived. Other listeners that want the newest events can still join them; for any other
   * listener the job is requested again afterwards, from a position that is known then.
   */
  fresh: { listeners: Listener[]; granted: boolean } | undefined
  /** The number of requests to the server: only the answer to the last one counts. */
  requests = 0
  /** A listener is not part of the present request, so that another request has to follow. */
  waiting = false
  /** Events that are not in the log, by their text: each is delivered once, and to listeners that are added later. */
  readonly #unlogged = new Map<string, JobEvent>()
  /** Why the server does not serve this job. */
  refusal: Reason | undefined
  /** The transport of the job while there is no socket. */
  via: 'sse' | 'rest' | undefined
  /** Whether that transport has not answered since the page woke up. */
  stale = false
  /** The fallback of the socket. */
  fallback: Fallback | undefined
  /** The timer of the next request for a refused job. */
  retry: ReturnType<typeof setTimeout> | undefined

  constructor(
    readonly id: string,
    readonly diagnose: (diagnostic: Diagnostic) => void,
  ) {}

  /**
   * The listeners of the next request, and its position. Listeners that want the newest
   * events are served first, with a request of their own: the position of those events must be
   * known before one request can serve them and other listeners. One request cannot
   * have positions of two epochs either.
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

  /** The lowest cursor of these listeners; undefined if one of them has none. */
  least(listeners: Listener[] = [...this.listeners]): number | undefined {
    const least = Math.min(...listeners.map(({ cursor = this.from ?? NaN }) => cursor))
    return Number.isNaN(least) ? undefined : least
  }

  /**
   * Takes the epoch of the log that the gateway has sent. Positions of another epoch are
   * no longer valid: a listener with such a position receives a gap, and the newest
   * events. `answers` says that this is the answer to a request, before its replay.
   * Reports whether there was such a listener.
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

  /** Drops everything that was kept of another epoch. */
  #begin(): void {
    this.from = undefined
    this.#unlogged.clear()
  }

  /** Opens these listeners: from here on, arriving events answer a request for them. */
  opened(listeners: Listener[]): void {
    if (this.fresh?.listeners === listeners) this.fresh.granted = true
    for (const listener of listeners) {
      const late = !listener.open && listener.cursor === undefined
      listener.open = true
      if (late) for (const event of this.#unlogged.values()) this.tell(listener, 'onEvent', event, { replayed: true })
    }
  }

  /** Notes that events have arrived. Reports whether a listener waited for that, so that another request has to be made now. */
  placed(caughtUp: boolean): boolean {
    if (this.fresh ? !this.fresh.granted || (this.from === undefined && !caughtUp) : !caughtUp) return false
    this.fresh = undefined
    return this.waiting && this.listeners.size > 0
  }

  /** Notes that the transport of the job is gone. */
  lost(): void {
    for (const listener of this.listeners) listener.caughtUp = false
    this.#epochIsNew = this.waiting = false
    this.fresh = undefined
  }

  event(event: JobEvent): void {
    const { sequence } = event
    const { version } = event as { version?: number }
    const later = version !== undefined && version > wireVersion
    // A replay goes to the present listeners, each time that it is made.
    if (sequence === undefined && !event.replay) {
      const key = JSON.stringify({ ...event, traceparent: undefined }) // which only some transports have
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

  /** Skips an event that cannot be read: later requests begin after it. */
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
        listener.cursor = Math.max(cursor, firstAvailable - 1) // so that the gap is reported once
        if (reason === 'retention' && cursor === listener.cursor) continue // the listener has the events that are gone
      }
      this.tell(listener, 'onGap', gap)
    }
  }

  /** Reports a new log, of which the gateway has informed the client, to the open listeners. A listener without a position has already received the gap, or has no events to drop. */
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

  /** Calls a handler. A handler that throws does not affect the others. */
  tell<Name extends HandlerName>({ handlers }: Listener, name: Name, ...args: Parameters<Required<JobHandlers>[Name]>): void {
    try {
      const handler = handlers[name] as ((...args: unknown[]) => void) | undefined
      handler?.(...args)
    } catch (error) {
      this.diagnose({ code: 'handler-threw', jobId: this.id, error })
    }
  }
}

/** The position of a listener, for a later `since`; undefined while the epoch is unknown, because a sequence alone may be taken for one of another log. */
export function positionOf({ cursor, epoch }: Listener): string | undefined {
  return epoch === undefined ? undefined : formatPosition({ sequence: cursor, epoch })
}
