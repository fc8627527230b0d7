import { formatPosition, type JobEvent, type JobStatusEvent, type Status } from '@letswriteabook/realtime-client'

/** How many events a timeline keeps until the reader requests older ones. */
export const watchedEvents = 200
/** How many events a request for older ones fetches. */
export const olderEvents = 100
/** How many events a timeline keeps after the first such request, until it is folded. */
export const mostEvents = 2000
/** How long changes are collected before the page is drawn. */
const drawEveryMs = 100

/** An event of the log, which has a sequence. */
export type LoggedEvent = JobEvent & { sequence: number }

/** A line between two events: the events after `after` were missed and then caught up. */
export interface Break {
  after: number
  missed: number
}

/** The view of a job. It is replaced and never changed. */
export interface View {
  /** The events in the order of the log, without holes, up to the newest known one. */
  readonly events: readonly LoggedEvent[]
  readonly breaks: readonly Break[]
  /** The last status, which may be older than every event here, or have no sequence. */
  readonly head: JobStatusEvent | undefined
  /** The status of the subscription. */
  readonly status: Status
  /** Whether no events before these are available. */
  readonly beginning: boolean
  /** Whether an answer has arrived, even one without events. */
  readonly known: boolean
}

/**
 * The events that a page keeps of one job: each once, in order, bounded. At the
 * bound the oldest events are dropped, so that the rest has no holes.
 * Listeners are called for several changes together, so that a busy job does not keep the page busy.
 */
export class Timeline {
  #view: View = { events: [], breaks: [], head: undefined, status: { state: 'idle' }, beginning: false, known: false }
  #limit = watchedEvents
  #timer: ReturnType<typeof setTimeout> | undefined
  /** Changes since the listeners were called last. */
  #arrived: LoggedEvent[] = []
  #next: Partial<View> = {}
  /** The epoch of the sequences here; undefined until the gateway has sent it. */
  #epoch: string | undefined
  readonly #listeners = new Set<() => void>()

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** The present view; the same object until something changes. */
  readonly view = (): View => this.#view

  /** The newest sequence that is known. */
  get newest(): number | undefined {
    return this.#arrived.at(-1)?.sequence ?? this.#view.events.at(-1)?.sequence
  }

  /** The position at which to continue: the newest sequence with its epoch, EPOCH:SEQUENCE. */
  get position(): string | undefined {
    return this.positionOf(this.newest)
  }

  /** The position of a sequence of this timeline. */
  positionOf(sequence: number | undefined): string | undefined {
    return formatPosition({ sequence, epoch: this.#epoch })
  }

  /** Sets the epoch of the events that are added next. Events of another log are dropped. */
  within(epoch: string | undefined): void {
    if (epoch === undefined || epoch === this.#epoch) return
    if (this.#epoch !== undefined) this.clear()
    this.#epoch = epoch
  }

  get oldest(): number | undefined {
    return this.#view.events[0]?.sequence
  }

  /**
   * Adds one event, in the order of the log. A repeat changes nothing. An event
   * without a sequence is not part of the log; such a status is shown until the log has one.
   */
  add(event: JobEvent): void {
    const newest = this.newest
    if (event.sequence === undefined) {
      if (event.kind !== 'job-status' || (this.#next.head ?? this.#view.head)?.sequence !== undefined) return
    } else if (newest !== undefined && event.sequence <= newest) return
    if (event.kind === 'job-status') this.#next = { ...this.#next, head: event }
    if (event.sequence !== undefined) this.#arrived.push(event as LoggedEvent)
    this.#later({ known: true })
  }

  /** Makes room for older events: call it before they are fetched, so that the event that follows them stays. */
  unfold(): void {
    this.#limit = mostEvents
  }

  /** Drops the older events, which the reader does not look at any more. */
  fold(): void {
    this.#limit = watchedEvents
    if (this.#view.events.length > watchedEvents) {
      this.#view = { ...this.#view, events: this.#view.events.slice(-watchedEvents), beginning: false }
      this.#tell()
    }
  }

  /**
   * Adds the page of events, oldest first, right before a sequence.
   * An empty page means that there are no older events. A page that does not end at the
   * oldest event here any more is ignored.
   */
  prepend(page: readonly JobEvent[], before: number): void {
    if (before !== this.oldest) return
    const older = page.filter((event): event is LoggedEvent => event.sequence !== undefined && event.sequence < before)
    this.#view = { ...this.#view, events: [...older, ...this.#view.events].slice(-this.#limit), beginning: older.length === 0 }
    this.#tell()
  }

  /** Adds a line after the newest event: the events that follow were missed. */
  breakHere(missed: number, after: number | undefined): void {
    if (after !== undefined && missed > 0) this.#later({ breaks: [...(this.#next.breaks ?? this.#view.breaks), { after, missed }] })
  }

  setStatus(status: Status): void {
    this.#next = { ...this.#next, status }
    this.#draw()
  }

  /** Notes that an answer has arrived, even one without events; `beginning`: there are no older events. */
  answered(beginning = false): void {
    this.#later(beginning ? { known: true, beginning } : { known: true })
  }

  /** Drops everything, because the log is another one. */
  clear(): void {
    this.#epoch = undefined
    this.#arrived = []
    this.#next = {}
    this.#view = { ...this.#view, events: [], breaks: [], head: undefined, beginning: false, known: false }
    this.#tell()
  }

  #later(change: Partial<View>): void {
    this.#next = { ...this.#next, ...change }
    this.#timer ??= setTimeout(() => this.#draw(), drawEveryMs)
  }

  /** Applies the collected changes to the view. */
  #draw(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#arrived.length === 0 && Object.keys(this.#next).length === 0) return
    const all = this.#arrived.length > 0 ? [...this.#view.events, ...this.#arrived] : this.#view.events
    const events = all.length > this.#limit ? all.slice(-this.#limit) : all
    const next = { ...this.#view, ...this.#next, events }
    if (events !== all) next.beginning = false
    const oldest = events[0]?.sequence
    if (oldest !== undefined && next.breaks.some(({ after }) => after < oldest)) next.breaks = next.breaks.filter(({ after }) => after >= oldest)
    this.#arrived = []
    this.#next = {}
    this.#view = next
    this.#tell()
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener()
  }
}
