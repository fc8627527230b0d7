import { createRealtime, type Realtime } from '@letswriteabook/realtime-client'
import { RealtimeProvider } from '@letswriteabook/realtime-client/react'
import { createContext, type ReactNode, useContext, useSyncExternalStore } from 'react'
import type { Config } from './config.js'
import { Timeline, type View } from './timeline.js'
import { Toasts } from './toasts.js'

/** The state that the parts of the page share, for the lifetime of the page. */
export class Desk {
  readonly client: Realtime
  readonly toasts = new Toasts()
  readonly #timelines = new Map<string, Timeline>()
  #missed = 0

  constructor(readonly config: Config) {
    this.client = createRealtime(config.gateway ? { url: config.gateway } : {})
  }

  /** The timeline of a job, the same for every part of the page that asks. */
  timeline(jobId: string): Timeline {
    let timeline = this.#timelines.get(jobId)
    if (!timeline) this.#timelines.set(jobId, (timeline = new Timeline()))
    return timeline
  }

  /** Removes the timeline of a job that is not followed any more. */
  forget(jobId: string): void {
    this.#timelines.delete(jobId)
  }

  /** Counts the events that a job has caught up with after a break. */
  caughtUp(missed: number): void {
    this.#missed += missed
  }

  /** Returns the number of events that all jobs have caught up with since the last call. */
  takeMissed(): number {
    const missed = this.#missed
    this.#missed = 0
    return missed
  }
}

const DeskContext = createContext<Desk | undefined>(undefined)

export function DeskProvider({ desk, children }: { desk: Desk; children: ReactNode }) {
  return (
    <DeskContext value={desk}>
      <RealtimeProvider client={desk.client}>{children}</RealtimeProvider>
    </DeskContext>
  )
}

export function useDesk(): Desk {
  const desk = useContext(DeskContext)
  if (!desk) throw new Error('useDesk outside of a DeskProvider')
  return desk
}

/** The view of a job. */
export function useView(jobId: string): View {
  const timeline = useDesk().timeline(jobId)
  return useSyncExternalStore(timeline.subscribe, timeline.view)
}
