import { type FormEvent, useId } from 'react'
import { useView } from './desk.js'
import type { FollowedJob } from './following.js'
import { jobAddress } from './route.js'
import { StatusBadge } from './statusbadge.js'
import { tell, timeWord } from './words.js'

/** The jobs, each with its state, and a way to follow one more. */
export function JobList({ jobs, current, onFollow }: {
  jobs: readonly FollowedJob[]
  current: string | undefined
  onFollow: (jobId: string) => void
}) {
  const heading = useId()
  const field = useId()
  const follow = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = event.currentTarget
    const jobId = new FormData(form).get('job')
    if (typeof jobId !== 'string' || jobId === '') return
    form.reset()
    onFollow(jobId)
  }
  return (
    <nav className="list" aria-labelledby={heading}>
      <h2 id={heading}>Jobs</h2>
      <ul>
        {jobs.map((job) => <JobRow key={job.id} job={job} current={job.id === current} />)}
      </ul>
      <form onSubmit={follow}>
        <label htmlFor={field}>Follow another job</label>
        <div className="line">
          <input id={field} name="job" required autoComplete="off" spellCheck={false} placeholder="Its id" />
          <button>Follow</button>
        </div>
      </form>
    </nav>
  )
}

function JobRow({ job, current }: { job: FollowedJob; current: boolean }) {
  const { head, events, status, known } = useView(job.id)
  const last = events.at(-1)
  let note = known ? 'Nothing yet' : ''
  if (last) note = last.kind === 'job-status' ? `Since ${timeWord(last.emittedAt)}` : `${tell(last).headline}, ${timeWord(last.emittedAt)}`
  if (status.state === 'refused') note = 'Not followed live'
  return (
    <li>
      <a href={jobAddress(job.id)} aria-current={current ? 'page' : undefined}>
        <span className="title">{job.title}</span>
        <StatusBadge status={head?.status} />
        <span className="note">{note}</span>
      </a>
    </li>
  )
}
