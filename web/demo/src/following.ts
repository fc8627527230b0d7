import { useState } from 'react'
import type { ListedJob } from './config.js'

const place = 'followed-jobs'

/** A job on the list. The reader can remove the jobs that the reader has added. */
export interface FollowedJob extends ListedJob {
  own: boolean
}

/** The list of jobs: those of every reader, and those that this reader has added, which the browser stores. */
export function useFollowing(listed: readonly ListedJob[]): {
  jobs: FollowedJob[]
  follow: (jobId: string) => void
  leave: (jobId: string) => void
} {
  const [own, setOwn] = useState(load)
  const keep = (next: string[]) => {
    setOwn(next)
    try {
      localStorage.setItem(place, JSON.stringify(next))
    } catch {
      // Storage is full or forbidden: the list lasts as long as the page.
    }
  }
  const known = (jobId: string) => own.includes(jobId) || listed.some(({ id }) => id === jobId)
  return {
    jobs: [
      ...listed.map((job) => ({ ...job, own: false })),
      ...own.filter((id) => !listed.some((job) => job.id === id)).map((id) => ({ id, title: shortened(id), own: true })),
    ],
    follow: (jobId) => {
      if (!known(jobId)) keep([...own, jobId])
    },
    leave: (jobId) => keep(own.filter((id) => id !== jobId)),
  }
}

function load(): string[] {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(place) ?? '[]')
    return Array.isArray(kept) ? kept.filter((id) => typeof id === 'string') : []
  } catch {
    return []
  }
}

/** The title of a job that the reader has typed in: its id, shortened to the available room. */
function shortened(id: string): string {
  return id.length > 60 ? `${id.slice(0, 59)}…` : id
}
