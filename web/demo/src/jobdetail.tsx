import { useEffect, useState } from 'react'
import { useDesk, useView } from './desk.js'
import { isCarried, useFetchFailed } from './feed.js'
import type { FollowedJob } from './following.js'
import { Placeholder } from './placeholder.js'
import { listAddress } from './route.js'
import { StatusBadge } from './statusbadge.js'
import { TimelineList } from './timelinelist.js'
import { facts, statusWord, timeWord } from './words.js'

/** One job: its state, its facts and its timeline. */
export function JobDetail({ job, onLeave }: { job: FollowedJob; onLeave: () => void }) {
  const view = useView(job.id)
  const failed = useFetchFailed(job.id)
  const desk = useDesk()
  const { toasts } = desk
  const { head, events, status } = view
  const last = events.at(-1)
  const stale = !isCarried(status) && events.length > 0 && failed
  useEffect(() => () => desk.timeline(job.id).fold(), [desk, job.id])
  const leave = () => {
    toasts.dismiss(`job ${job.id}`)
    onLeave()
  }
  return (
    <section className="detail" aria-labelledby="job-title">
      <title>{`${job.title} · Novels in the making`}</title>
      <p className="back"><a href={listAddress}>All jobs</a></p>
      <div className="heading">
        <h2 id="job-title" tabIndex={-1}>{job.title}</h2>
        <StatusBadge status={head?.status} />
      </div>
      <Announcement words={head && `${job.title}: ${statusWord(head.status)}`} />
      <dl className="facts">
        {facts(head?.snapshot ?? {}).map(([name, value]) => <Fact key={name} name={name} value={value} />)}
        {last && <Fact name="last event" value={timeWord(last.emittedAt)} />}
        {last && <Fact name="sequence" value={String(last.sequence)} />}
      </dl>
      {stale && <p className="stale" role="note">The newest event that you see is from {timeWord(last?.emittedAt ?? '')}. More comes as soon as the service answers.</p>}
      {events.length > 0
        ? <TimelineList jobId={job.id} view={view} />
        : <Placeholder view={view} failed={failed} />}
      {job.own && <p className="leave"><button type="button" onClick={leave}>Stop following this job</button></p>}
    </section>
  )
}

function Fact({ name, value }: { name: string; value: string }) {
  return <div><dt>{name}</dt><dd>{value}</dd></div>
}

/** Announces a change of the job's state to screen readers, but not the initial state. */
function Announcement({ words }: { words: string | undefined }) {
  const [first, setFirst] = useState(words)
  useEffect(() => {
    if (first === undefined) setFirst(words)
  }, [first, words])
  return <p className="unseen" role="status" aria-label="State of the job">{words === first ? '' : words}</p>
}
