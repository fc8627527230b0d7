import type { JobEvent, JobStatusEvent } from '../contract.js'
import type { Gap } from '../generated.js'
import type { Realtime, Subscription } from '../client.js'
import type { Status } from '../status.js'
import { Leases } from './lease.js'

/** What is known of a job. Replaced, never changed. */
export interface JobView {
  /** The newest events, oldest first. */
  readonly events: readonly JobEvent[]
  /** The last `job-status`. */
  readonly last: JobStatusEvent | undefined
  /** How the subscription stands. */
  readonly status: Status
  /** What was last told to be gone for good. */
  readonly gap: Gap | undefined
}

export type EventHandler = (event: JobEvent, context: { replayed: boolean }) => void

/** How many events a view keeps. */
export const maxEvents = 1000

/** Between renders, in milliseconds: a catch-up of hundreds of events is a few renders. */
const flushMs = 16

export const emptyView: JobView = { events: [], last: undefined, status: { state: 'idle' }, gap: undefined }

/** What one client knows of one job, for any number of components. */
export class JobStore {
  view: JobView = emptyView
  readonly #changed = new Set<() => void>()
  readonly #handlers = new Set<EventHandler>()
  readonly #subscription: Subscription
  #pending: JobEvent[] = []
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(client: Realtime, jobId: string) {
    this.#subscription = client.subscribeJob(jobId, {
      onEvent: (event, context) => {
        if (!event.replay) {
          this.#pending.push(event)
          this.#timer ??= setTimeout(() => this.#flush(), flushMs)
        }
        for (const handler of [...this.#handlers]) handler(event, context)
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

  onEvent(handler: EventHandler): () => void {
    this.#handlers.add(handler)
    return () => void this.#handlers.delete(handler)
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
