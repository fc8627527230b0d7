import { useCallback, useEffect, useMemo, useRef, useState } from 'react'
import { type Answer, ApiError, get } from '../api/client.js'
import { usePoll } from '../api/poll.js'
import { clock, count, seconds, whole } from '../format.js'
import { href, useParam } from '../route.js'
import { type Event, glance, indexAt, load, maxEvents, newer, older, stateAt, type Timeline, title } from '../timeline.js'
import { Age, Freshness, Json, Problem, Stat, useNow, VirtualList } from '../ui.js'
import { Erase } from './erase.js'
import { Followers } from './followers.js'
import { Replay } from './replay.js'
import { EventWay, Ways } from './way.js'

export function Job() {
  const [id] = useParam('id')
  return id ? <One key={id} id={id} /> : <p className="pad">No job is named. <a href={href('jobs')}>Jobs</a></p>
}

/** What the page shows beside the events. */
const parts = [{ name: '', title: 'Event' }, { name: 'followers', title: 'Followers' }, { name: 'ways', title: 'Ways' }, { name: 'replay', title: 'Replay' }, { name: 'erase', title: 'Erase' }] as const

/** A job that has not ended and whose newest event is older than this stands still, as far as one can see. */
const quietSeconds = 60

function One({ id }: { id: string }) {
  const [at, setAt] = useParam('at')
  const [part] = useParam('part')
  const wanted = /^\d+$/.test(at) ? Number(at) : undefined
  const { timeline, error, jump, more, fresh } = useTimeline(id, wanted)
  const job = usePoll(`job ${id}`, (signal) => get('/job', { jobId: id }, signal), 2000)
  const letters = usePoll(`letters of ${id}`, (signal) => get('/letters', { jobId: id, limit: 20 }, signal), 5000)
  const events = timeline?.events ?? []
  const index = wanted === undefined ? events.length - 1 : indexAt(events, wanted)
  const selected = events[index]
  const newest = job.data?.newest ?? undefined
  const rows = useMemo(() => events.map((event, i) => ({ event, before: events[i - 1] })).reverse(), [events])
  const select = useCallback((event: Event) => setAt(String(event.sequence)), [setAt])

  return (
    <>
      <div className="title">
        <h1><a className="crumb" href={href('jobs')}>Jobs</a> <span className="id">{id}</span></h1>
        <Freshness of={fresh} />
      </div>
      <Problem error={error ?? job.error ?? letters.error} />
      <Standing newest={newest} last={events.at(-1)} letters={letters.data} id={id} followers={job.data?.followers} known={job.data !== undefined} />
      <dl className="stats">
        <Stat name="Newest event" value={newest ? title(newest) || newest.kind : '–'} note={newest?.kind} />
        <Stat name="Sequence" value={newest ? whole(newest.sequence) : '–'} note={newest ? `epoch ${newest.epoch}` : undefined} />
        <Stat name="Age" value={<Age time={newest?.storedAt} />} note={newest && clock(newest.storedAt)} />
        <Stat name="Followers" value={<a href={href('job', { id, at, part: 'followers' })}>{count(job.data?.followers)}</a>} note={job.data && `on ${job.data.gateways} ${job.data.gateways === 1 ? 'gateway' : 'gateways'}`} />
        <Stat name="Dead letters" value={<a href={href('letters', { job: id })}>{letters.data ? `${letters.data.items.length}${letters.data.next ? '+' : ''}` : '–'}</a>} tone={letters.data?.items.length ? 'bad' : undefined} />
      </dl>
      <Scrubber events={events} index={index} onSelect={select} onJump={jump} wanted={wanted} atHead={timeline?.atHead ?? true} onNewest={() => {
        setAt('')
        jump(undefined)
      }} />
      <div className={part ? 'split instead' : 'split'}>
        <VirtualList label="Events" layout="events" items={rows} itemKey={({ event }) => event.sequence} selected={selected?.sequence} onOpen={({ event }) => select(event)} onEnd={more}
          empty={timeline ? 'The log has no events of this job.' : 'Asking …'}
          columns={[
            { title: 'Sequence', number: true, render: ({ event }) => <a href={href('job', { id, at: event.sequence, part })} aria-current={event === selected || undefined}>{whole(event.sequence)}</a> },
            { title: 'Stored', render: ({ event }) => <time dateTime={event.storedAt} title={event.storedAt}>{clock(event.storedAt)}</time> },
            { title: 'After', number: true, wide: true, render: ({ event, before }) => before ? <Pause from={before} to={event} /> : '' },
            { title: 'Kind', wide: true, render: ({ event }) => event.kind },
            { title: 'What', render: ({ event }) => <><b className={`status ${title(event)}`}>{title(event)}</b> <span className="quiet mono">{glance(event)}</span></> },
          ]} />
        <div className="stack">
          <nav className="parts" aria-label="Parts of the job">
            {part && <a className="back" href={href('job', { id, at })}>‹ Events</a>}
            {parts.map(({ name, title: text }) => <a key={name} href={href('job', { id, at, part: name })} aria-current={part === name ? 'true' : undefined}>{text}{name === 'followers' && job.data && ` (${count(job.data.followers)})`}</a>)}
          </nav>
          {part === 'followers' ? <Followers jobId={id} /> : part === 'ways' ? <Ways jobId={id} /> : part === 'replay' ? <Replay jobId={id} /> : part === 'erase' ? <Erase jobId={id} /> : <Detail jobId={id} events={events} index={index} wholeHistory={timeline?.older === false} />}
        </div>
      </div>
      {(timeline?.older && events.length >= maxEvents) && <p className="quiet pad">The page holds {whole(maxEvents)} events. Go to an earlier sequence to see older ones.</p>}
    </>
  )
}

function Pause({ from, to }: { from: Event; to: Event }) {
  const took = (Date.parse(to.storedAt) - Date.parse(from.storedAt)) / 1000
  return <span className={took > quietSeconds ? 'warn' : ''}>{took < 0.0005 ? '0 s' : seconds(took)}</span>
}

/** Says why a job may stand still, as far as the log shows it. */
function Standing({ newest, last, letters, id, followers, known }: { newest: Event | undefined; last: Event | undefined; letters: Answer<'/letters'> | undefined; id: string; followers: number | undefined; known: boolean }) {
  const now = useNow()
  const reasons: { tone: string; text: React.ReactNode }[] = []
  const event = newest ?? last
  const quiet = event ? (now - Date.parse(event.storedAt)) / 1000 : 0
  const ended = event?.kind === 'job-status' && ['completed', 'failed'].includes(title(event))
  const refused = letters?.items.at(-1)
  if (known && !event) reasons.push({ tone: 'warn', text: 'The log has no event of this job: nothing was published, all of it was refused, or it is older than the log keeps.' })
  if (letters && refused) {
    reasons.push({
      tone: 'bad',
      text: <>{letters.items.length}{letters.next ? '+' : ''} {letters.items.length === 1 ? 'event was' : 'events were'} refused, the last one {clock(refused.at)}: <code>{refused.reason}</code> {refused.detail}. <a href={href('letters', { job: id, letter: refused.sequence })}>Look at it</a></>,
    })
  }
  if (event && !ended && quiet > quietSeconds) reasons.push({ tone: 'warn', text: `The worker has published nothing for ${seconds(Math.round(quiet))}. The job is not finished.` })
  if (ended) reasons.push({ tone: 'quiet', text: `The job has ended: ${title(event)}.` })
  if (event && followers === 0) reasons.push({ tone: 'quiet', text: 'No client follows it.' })
  if (reasons.length === 0) return null
  return <ul className="reasons" aria-label="What stands out">{reasons.map(({ tone, text }, i) => <li key={i} className={tone}>{text}</li>)}</ul>
}

interface ScrubberProperties {
  events: Event[]
  index: number
  wanted: number | undefined
  atHead: boolean
  onSelect: (event: Event) => void
  onJump: (sequence: number) => void
  onNewest: () => void
}

function Scrubber({ events, index, wanted, atHead, onSelect, onJump, onNewest }: ScrubberProperties) {
  const [typed, setTyped] = useState('')
  const event = events[index]
  return (
    <div className="scrubber">
      <input type="range" aria-label="Event" min={0} max={Math.max(0, events.length - 1)} value={Math.max(0, index)} disabled={events.length < 2}
        aria-valuetext={event ? `sequence ${event.sequence}, ${title(event)}, ${clock(event.storedAt)}` : 'none'}
        onChange={({ target }) => {
          const chosen = events[Number(target.value)]
          if (chosen) onSelect(chosen)
        }} />
      <span className="quiet number">{events.length > 0 ? `${whole(index + 1)} of ${whole(events.length)} loaded` : 'no events'}</span>
      <form onSubmit={(submitted) => {
        submitted.preventDefault()
        if (/^\d+$/.test(typed)) onJump(Number(typed))
      }}>
        <label>Sequence <input inputMode="numeric" size={9} value={typed} placeholder={event ? String(event.sequence) : ''} onChange={({ target }) => setTyped(target.value)} /></label>
        <button type="submit">Go</button>
      </form>
      <button type="button" onClick={onNewest} disabled={wanted === undefined && atHead}>Newest</button>
    </div>
  )
}

function Detail({ jobId, events, index, wholeHistory }: { jobId: string; events: Event[]; index: number; wholeHistory: boolean }) {
  const event = events[index]
  const state = useMemo(() => stateAt(events, index), [events, index])
  if (!event) return <section className="detail quiet pad">No event is selected.</section>
  const emitted = (Date.parse(event.storedAt) - Date.parse(event.emittedAt)) / 1000
  return (
    <section className="detail" aria-label="Selected event">
      <h2>State at {whole(event.sequence)}</h2>
      <p>
        {state.status ? <>Status <b className={`status ${state.status}`}>{state.status}</b> since {clock(state.statusAt)}</> : `No status ${wholeHistory ? 'up to then' : 'among the loaded events up to then'}`}
      </p>
      <p className="quiet">{wholeHistory ? 'All events' : 'Loaded events'} up to then: {state.counts.slice(0, 6).map(([name, n]) => `${name} ${whole(n)}`).join(', ')}{state.counts.length > 6 && ` and ${state.counts.length - 6} more kinds`}</p>
      {state.snapshot != null && <Json label="Snapshot" value={state.snapshot} />}
      <h2>Event</h2>
      <dl className="pairs">
        <dt>Id</dt><dd className="id">{event.id ?? 'none'}</dd>
        <dt>Emitted</dt><dd>{clock(event.emittedAt)}</dd>
        <dt>Stored</dt><dd>{clock(event.storedAt)} <span className="quiet">{Number.isFinite(emitted) && `${seconds(Math.max(0, emitted))} later`}</span></dd>
        <dt>Position</dt><dd className="id">{event.epoch}:{event.sequence}</dd>
      </dl>
      <EventWay event={event} jobId={jobId} />
      <h2>Envelope</h2>
      <Json label="Envelope" value={event.envelope} />
    </section>
  )
}

/** Loads the events around a sequence or the newest ones, and follows the newest ones. */
function useTimeline(id: string, wanted: number | undefined) {
  const [start, setStart] = useState(wanted) // where the loaded events begin to be looked for
  const [round, setRound] = useState(0)
  const [timeline, setTimeline] = useState<Timeline | undefined>()
  const [error, setError] = useState<ApiError | undefined>()
  const [at, setAtTime] = useState<number | undefined>()
  const now = useRef<Timeline | undefined>(undefined)
  now.current = timeline
  const busy = useRef(false)
  const [, setParam] = useParam('at')

  useEffect(() => {
    const abort = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    let following: Timeline | undefined
    const step = async () => {
      if (!document.hidden) {
        try {
          const known = following ? (now.current ?? following) : undefined
          const next = known ? await newer(id, known, abort.signal) : await load(id, start, abort.signal)
          if (abort.signal.aborted) return
          // Older events may have been added meanwhile.
          setTimeline((current) => (following && current ? { ...current, atHead: next.atHead, events: [...current.events, ...next.events.filter(({ sequence }) => sequence > (current.events.at(-1)?.sequence ?? 0))].slice(-maxEvents) } : next))
          following = next
          setError(undefined)
          setAtTime(Date.now())
        } catch (problem) {
          if (abort.signal.aborted) return
          setError(problem as ApiError)
        }
      }
      timer = setTimeout(step, 1000)
    }
    void step()
    return () => {
      abort.abort()
      clearTimeout(timer)
    }
  }, [id, start, round])

  const jump = useCallback((sequence: number | undefined) => {
    const loaded = now.current
    if (sequence !== undefined) setParam(String(sequence))
    const first = loaded?.events[0]?.sequence ?? Infinity
    if (sequence !== undefined && loaded && sequence >= first && (loaded.atHead || sequence <= (loaded.events.at(-1)?.sequence ?? 0))) return
    if (sequence === undefined && loaded?.atHead) return
    setTimeline(undefined)
    setStart(sequence)
    setRound((n) => n + 1)
  }, [setParam])

  // A link to another sequence of the same job.
  useEffect(() => {
    if (wanted !== undefined && now.current) jump(wanted)
  }, [wanted, jump])

  const more = useCallback(() => {
    const loaded = now.current
    if (busy.current || !loaded?.older || loaded.events.length >= maxEvents) return
    busy.current = true
    const abort = new AbortController()
    older(id, loaded, abort.signal)
      .then((next) => setTimeline((current) => (current && current.events[0]?.sequence === loaded.events[0]?.sequence ? { ...current, older: next.older, events: [...next.events.filter(({ sequence }) => sequence < (current.events[0]?.sequence ?? 0)), ...current.events] } : current)))
      .catch((problem: unknown) => setError(problem as ApiError))
      .finally(() => (busy.current = false))
  }, [id])

  return { timeline, error, jump, more, fresh: { at, error, every: 1000 } }
}
