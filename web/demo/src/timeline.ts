import { formatPosition, type JobEvent, type JobStatusEvent, type Status } from '@letswriteabook/realtime-client'

/** How many events a timeline keeps while it is only watched. */
export const watchedEvents = 200
/** How many events a request for older ones fetches. */
export const olderEvents = 100
/** How many a timeline keeps from the first such request on, until it is folded. */
export const mostEvents = 2000
/** How long changes are gathered before the page is drawn. */
const drawEveryMs = 100

/** An event of the log: those have a sequence. */
export type LoggedEvent = JobEvent & { sequence: number }

/** A line between two events: what stands after `after` was missed and then caught up. */
export interface Break {
  after: number
  missed: number
}

/** What the page shows of a job. It is replaced, never changed. */
export interface View {
  /** In the order of the log: a run without holes, whose end is the newest that is known. */
  readonly events: readonly LoggedEvent[]
  readonly breaks: readonly Break[]
  /** The last status, which may be older than every event here, or come without a sequence. */
  readonly head: JobStatusEvent | undefined
  /** How the subscription stands. */
  readonly status: Status
  /** Events before these are not to be had. */
  readonly beginning: boolean
  /** Something has arrived, be it that there is nothing. */
  readonly known: boolean
}

/**
 * The events of one job as a page keeps them: each once, in order, bounded. What
 * is beyond the bound goes at the old end, so that the rest stays without holes.
 * Listeners are told in bundles, so that a busy job does not keep the page busy.
 */
export class Timeline {
  #view: View = { events: [], breaks: [], head: undefined, status: { state: 'idle' }, beginning: false, known: false }
  #limit = watchedEvents
  #timer: ReturnType<typeof setTimeout> | undefined
  /** Changes since the last bundle. */
  #arrived: LoggedEvent[] = []
  #next: Partial<View> = {}
  /** The epoch of the log in which the sequences here count; undefined while the gateway has not said it. */
  #epoch: string | undefined
  readonly #listeners = new Set<() => void>()

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** What is to be shown; the same object until something changes. */
  readonly view = (): View => this.#view

  /** The newest sequence that is known. */
  get newest(): number | undefined {
    return this.#arrived.at(-1)?.sequence ?? this.#view.events.at(-1)?.sequence
  }

  /** Where to go on from: the newest sequence with its epoch, EPOCH:SEQUENCE. */
  get position(): string | undefined {
    return this.positionOf(this.newest)
  }

  /** The position that a sequence of this timeline stands for. */
  positionOf(sequence: number | undefined): string | undefined {
    return formatPosition({ sequence, epoch: this.#epoch })
  }

  /** Says in which epoch the sequences of what is added next count. Events of another log are dropped. */
  within(epoch: string | undefined): void {
    if (epoch === undefined || epoch === this.#epoch) return
    if (this.#epoch !== undefined) this.clear()
    this.#epoch = epoch
  }

  get oldest(): number | undefined {
    return this.#view.events[0]?.sequence
  }

  /**
   * Takes one event, in the order of the log. A repeat changes nothing. One
   * without a sequence is no part of the log: a status counts until the log has one.
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

  /** Makes room for older events: call it before they are fetched, so that what they have to meet stays. */
  unfold(): void {
    this.#limit = mostEvents
  }

  /** Nobody looks at older events any more. */
  fold(): void {
    this.#limit = watchedEvents
    if (this.#view.events.length > watchedEvents) {
      this.#view = { ...this.#view, events: this.#view.events.slice(-watchedEvents), beginning: false }
      this.#tell()
    }
  }

  /**
   * Takes the page of events, oldest first, that stand right before a sequence.
   * An empty one says that there are none. One that does not meet what is here
   * any more is passed over.
   */
  prepend(page: readonly JobEvent[], before: number): void {
    if (before !== this.oldest) return
    const older = page.filter((event): event is LoggedEvent => event.sequence !== undefined && event.sequence < before)
    this.#view = { ...this.#view, events: [...older, ...this.#view.events].slice(-this.#limit), beginning: older.length === 0 }
    this.#tell()
  }

  /** Draws a line after the newest event: what follows was missed. */
  breakHere(missed: number, after: number | undefined): void {
    if (after !== undefined && missed > 0) this.#later({ breaks: [...(this.#next.breaks ?? this.#view.breaks), { after, missed }] })
  }

  setStatus(status: Status): void {
    this.#next = { ...this.#next, status }
    this.#draw()
  }

  /** Somebody has answered, be it that there is nothing; `beginning`: and that there is nothing before it. */
  answered(beginning = false): void {
    this.#later(beginning ? { known: true, beginning } : { known: true })
  }

  /** Forgets everything: the log is another one. */
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

  /** Brings what has been gathered into the view. */
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
