import { createRealtime, type Realtime } from '@letswriteabook/realtime-client'
import { RealtimeProvider } from '@letswriteabook/realtime-client/react'
import { createContext, type ReactNode, useContext, useSyncExternalStore } from 'react'
import type { Config } from './config.js'
import { Timeline, type View } from './timeline.js'
import { Toasts } from './toasts.js'

/** What the parts of the page share. It lives as long as the page. */
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

  /** The job is not followed any more. */
  forget(jobId: string): void {
    this.#timelines.delete(jobId)
  }

  /** A job has caught up with what it missed while the connection was away. */
  caughtUp(missed: number): void {
    this.#missed += missed
  }

  /** How much all jobs have caught up with since this was asked last. */
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

/** What is to be shown of a job. */
export function useView(jobId: string): View {
  const timeline = useDesk().timeline(jobId)
  return useSyncExternalStore(timeline.subscribe, timeline.view)
}
