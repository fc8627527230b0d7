import { useCallback, useId, useState } from 'react'
import { type Body, post } from '../api/client.js'
import { Confirm } from '../confirm.js'
import { bytes, clock, seconds, whole } from '../format.js'
import { useParam } from '../route.js'
import { Command, Problem, useChange } from '../ui.js'
import { type Piece, Progress } from './progress.js'

/** What a replay answers, see operations.ReplaySummary. */
interface Summary {
  events: number
  bytes: number
  unfit: number
  firstAt?: string
  lastAt?: string
  seconds: number
  followers?: { gateways: number; subscriptions: number }
}

interface Trial {
  id: string
  /** The request that was tried, as JSON. */
  of: string
  work?: Piece
}

const speeds = [['1', 'as they came'], ['10', '10 times as fast'], ['100', '100 times as fast']] as const

/** Sends events of a job again, after a dry run has counted them. */
export function Replay({ jobId }: { jobId: string }) {
  const [other, setOther] = useState('')
  const [from, setFrom] = useState('')
  const [to, setTo] = useState('')
  const [speed, setSpeed] = useState('10')
  const [trial, setTrial] = useState<Trial | undefined>()
  const [running, setRunning] = useParam('replay')
  const change = useChange<unknown>()
  const form = useId()
  const target = other.trim() || jobId
  const request: Body<'/replays'> = {
    into: `job:${target}`, jobs: [jobId], speed: Number(speed), longestPauseSeconds: 5,
    ...(from.trim() ? { from: from.trim() } : {}), ...(to.trim() ? { to: to.trim() } : {}),
  }
  const key = JSON.stringify(request)
  const tried = trial?.of === key ? trial.work : undefined
  const counted = tried?.state === 'done' ? (tried.result as Summary) : undefined
  const noted = useCallback((work: Piece) => setTrial((before) => (before?.id === work.id ? { ...before, work } : before)), [])
  return (
    <section className="detail" aria-label="Replay">
      <h2>Replay</h2>
      <p className="quiet">Sends stored events of this job again to the clients that follow it. Each client gets them beside the live events, and nothing is stored. Pauses are at most 5 s long.</p>
      <form id={form} className="fields" onSubmit={(event) => {
        event.preventDefault()
        change.run(async () => {
          const { id } = await post('/replays', { ...request, dryRun: true })
          setTrial({ id, of: key })
        })
      }}>
        <label>To the followers of <input value={other} placeholder={jobId} spellCheck={false} onChange={({ target: { value } }) => setOther(value)} /></label>
        <label>From <input value={from} placeholder="start" spellCheck={false} onChange={({ target: { value } }) => setFrom(value)} /></label>
        <label>To <input value={to} placeholder="end" spellCheck={false} onChange={({ target: { value } }) => setTo(value)} /></label>
        <label>Pace <select value={speed} onChange={({ target: { value } }) => setSpeed(value)}>{speeds.map(([value, text]) => <option key={value} value={value}>{text}</option>)}</select></label>
        <p className="quiet">From and To are sequences, or times such as 2026-01-31T14:03:00Z.</p>
      </form>
      <div className="buttons">
        <button type="submit" form={form} className="main" disabled={change.busy}>Dry run</button>
        <Confirm label="Replay" disabled={!counted || counted.events === 0 || change.busy} action={`Replay ${whole(counted?.events ?? 0)} ${counted?.events === 1 ? 'event' : 'events'}`} onConfirm={() => change.run(async () => {
          const { id } = await post('/replays', request)
          setTrial(undefined)
          setRunning(id)
        })}>
          This sends <b>{whole(counted?.events ?? 0)}</b> {counted?.events === 1 ? 'event' : 'events'} of {jobId} to the {whole(counted?.followers?.subscriptions ?? 0)} {counted?.followers?.subscriptions === 1 ? 'subscription' : 'subscriptions'} to <b className="id">{target}</b>, and takes {seconds(counted?.seconds)}. What was sent cannot be taken back.
        </Confirm>
        {!counted && <span className="quiet">A dry run comes first.</span>}
      </div>
      <Problem error={change.error} />
      {trial && <Progress key={`dry ${trial.id}`} id={trial.id} title="Dry run" onWork={noted}>{(result) => <Counted of={result as Summary} verb="would be sent" />}</Progress>}
      {running && <Progress key={running} id={running} title="Replay">{(result) => <Counted of={result as Summary} verb="were sent" />}</Progress>}
      <Command text="realtime replay --help">To a NATS subject, a Redis channel, a collection or the log:</Command>
    </section>
  )
}

function Counted({ of, verb }: { of: Summary; verb: string }) {
  return (
    <p>
      <b>{whole(of.events)}</b> {of.events === 1 ? 'event' : 'events'} ({bytes(of.bytes)}) {verb}
      {of.followers && <> to {whole(of.followers.subscriptions)} {of.followers.subscriptions === 1 ? 'subscription' : 'subscriptions'} at {whole(of.followers.gateways)} {of.followers.gateways === 1 ? 'gateway' : 'gateways'}</>}
      , in {seconds(of.seconds)}
      {of.firstAt && of.lastAt && <span className="quiet">; stored from {clock(of.firstAt)} to {clock(of.lastAt)}</span>}
      {of.unfit > 0 && <span className="warn">; {whole(of.unfit)} cannot be sent</span>}.
    </p>
  )
}
