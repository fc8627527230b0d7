import type { JobEvent, JobStatusEvent } from '../contract.js'
import type { Gap } from '../generated.js'
import type { Realtime, Subscription } from '../client.js'
import type { EventContext } from '../job.js'
import type { Status } from '../status.js'
import { Leases } from './lease.js'

/** The view of a job. It is replaced and never changed. */
export interface JobView {
  /** The newest events, oldest first. */
  readonly events: readonly JobEvent[]
  /** The last `job-status`. */
  readonly last: JobStatusEvent | undefined
  /** The status of the subscription. */
  readonly status: Status
  /** The last gap. */
  readonly gap: Gap | undefined
}

export type EventHandler = (event: JobEvent, context: EventContext) => void

/** One component's handler, and its progress, which outlives the extra unmount of StrictMode. */
export interface Told {
  handler: EventHandler | undefined
  /** The store, and how many of its events the handler has received. */
  store: JobStore | undefined
  count: number
}

/** How many events a view keeps. */
export const maxEvents = 1000

/** The time between renders, in milliseconds, so that a catch-up of hundreds of events causes only a few renders. */
const flushMs = 16

export const emptyView: JobView = { events: [], last: undefined, status: { state: 'idle' }, gap: undefined }

/** The events of one job at one client, for any number of components. */
export class JobStore {
  view: JobView = emptyView
  readonly #changed = new Set<() => void>()
  readonly #handlers = new Set<Told>()
  readonly #subscription: Subscription
  readonly #client: Realtime
  readonly #jobId: string
  #pending: JobEvent[] = []
  #count = 0 // of the events there have been; the newest of them are in the view, or pending
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(client: Realtime, jobId: string) {
    this.#client = client
    this.#jobId = jobId
    this.#subscription = client.subscribeJob(jobId, {
      onEvent: (event, context) => {
        if (!event.replay) {
          this.#pending.push(event)
          this.#count++
          this.#timer ??= setTimeout(() => this.#flush(), flushMs)
        }
        for (const told of [...this.#handlers]) {
          if (!this.#handlers.has(told)) continue // another handler has removed it
          told.count = this.#count
          this.#tell(told, event, context)
        }
      },
      onStatus: (status) => {
        this.#flush({ status })
      },
      onGap: (gap) => {
        this.#flush(gap.reason === 'epoch-changed' || gap.reason === 'erased' ? { gap, events: [], last: undefined } : { gap })
      },
    })
    this.view = { ...emptyView, status: this.#subscription.status }
  }

  end(): void {
    clearTimeout(this.#timer)
    this.#subscription.unsubscribe()
  }

  onChange(changed: () => void): () => void {
    this.#changed.add(changed)
    return () => void this.#changed.delete(changed)
  }

  /** Calls a handler once for every event: first for the earlier events that are kept. */
  onEvent(told: Told): () => void {
    if (told.store !== this) Object.assign(told, { store: this, count: 0 })
    const kept = [...this.view.events, ...this.#pending]
    const missed = Math.min(this.#count - told.count, kept.length)
    told.count = this.#count
    this.#handlers.add(told)
    for (const event of missed > 0 ? kept.slice(-missed) : []) this.#tell(told, event, { replayed: true })
    return () => void this.#handlers.delete(told)
  }

  /** Calls a handler. A handler that throws does not affect the others. */
  #tell({ handler }: Told, event: JobEvent, context: EventContext): void {
    try {
      handler?.(event, context)
    } catch (error) {
      this.#client.diagnose?.({ code: 'handler-threw', jobId: this.#jobId, error }) // the fake client of a test may lack it
    }
  }

  #flush(change: Partial<JobView> = {}): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const { events, last } = this.view
    const pending = this.#pending
    this.#pending = []
    this.view = {
      ...this.view,
      ...(pending.length > 0 && {
        events: [...events, ...pending].slice(-maxEvents),
        last: pending.findLast((event): event is JobStatusEvent => event.kind === 'job-status') ?? last,
      }),
      ...change,
    }
    for (const changed of [...this.#changed]) changed()
  }
}

const stores = new WeakMap<Realtime, Leases<JobStore>>()

/** The stores of a client. */
export function storesOf(client: Realtime): Leases<JobStore> {
  let leases = stores.get(client)
  if (!leases) stores.set(client, (leases = new Leases((store) => store.end())))
  return leases
}
