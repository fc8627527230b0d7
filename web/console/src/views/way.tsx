import { get } from '../api/client.js'
import { usePoll } from '../api/poll.js'
import { clock, seconds, whole } from '../format.js'
import { href } from '../route.js'
import type { Event } from '../timeline.js'
import { Freshness, Problem, Table } from '../ui.js'
import { stages, type Way, ways } from '../way.js'
import { Missing } from './sockets.js'

/** What the flight recorders keep of one event: a bar for each stage. */
export function EventWay({ event, jobId }: { event: Event; jobId: string }) {
  const polled = usePoll(`way of ${jobId} ${event.sequence}`, (signal) => get('/job/stages', { jobId, ...(event.id ? { id: event.id } : {}), sequence: event.sequence, epoch: event.epoch, limit: 100 }, signal), 5000)
  const way = ways(polled.data?.items ?? []).find(({ sequence }) => sequence === event.sequence)
  const all = stages(way, event.emittedAt, event.storedAt)
  const start = Math.min(...all.map(({ at }) => at))
  const span = Math.max(1, ...all.map(({ at }) => at - start))
  return (
    <>
      <h2>Way <small>by the clocks of the worker and of the gateways</small></h2>
      <Problem error={polled.error} />
      <ol className="way">
        {all.map(({ name, where, at, note }, i) => (
          <li key={`${name} ${where} ${i}`}>
            <span>{name}</span>
            <span className="bar-of" aria-hidden="true"><i style={{ width: `${(100 * (at - start)) / span}%` }} /></span>
            <b className="number">{i === 0 ? clock(at) : `+${at === start ? '0 s' : seconds((at - start) / 1000)}`}</b>
            <span className="quiet id">{[where, note].filter(Boolean).join(', ')}</span>
          </li>
        ))}
      </ol>
      {polled.data && !way && <p className="quiet">The gateways no longer have the stages of this event in memory. They keep the newest events (FLIGHT_RECORDER_EVENTS).</p>}
      {way && way.deliveries.length === 0 && <p className="quiet">No client followed the job live.</p>}
    </>
  )
}

const notes = 300

/** What the flight recorders keep of a job's last events. */
export function Ways({ jobId }: { jobId: string }) {
  const polled = usePoll(`ways of ${jobId}`, (signal) => get('/job/stages', { jobId, limit: notes }, signal), 2000)
  return (
    <section className="detail" aria-label="Way of the last events">
      <h2>Way of the last events <Freshness of={polled} short /></h2>
      <Problem error={polled.error} />
      <Missing missing={polled.data?.missing} />
      <p className="quiet">How long the log took to store each event, and how long after that each gateway offered it to its clients.</p>
      <Table label="Ways" rows={ways(polled.data?.items ?? [])} rowKey={({ sequence }) => sequence} empty={polled.data ? 'The gateways have no stages of this job in memory.' : 'Asking …'} columns={[
        { title: 'Sequence', number: true, render: ({ sequence }) => <a href={href('job', { id: jobId, at: sequence })}>{whole(sequence)}</a> },
        { title: 'In the log', render: ({ loggedAt, duplicates }) => <>{clock(loggedAt)}{duplicates > 0 && <span className="quiet"> × {duplicates + 1}</span>}</> },
        { title: 'Took', number: true, render: ({ loggedAt, loggingAt }) => <Between from={loggingAt} to={loggedAt} /> },
        { title: 'Delivered', render: (way) => <Deliveries of={way} /> },
      ]} />
    </section>
  )
}

function Between({ from, to }: { from: number | undefined; to: number | undefined }) {
  if (from === undefined || to === undefined) return <>–</>
  return <>{to <= from ? '< 1 ms' : seconds((to - from) / 1000)}</>
}

function Deliveries({ of: { deliveries, loggedAt } }: { of: Way }) {
  if (deliveries.length === 0) return <span className="quiet">to no client</span>
  return (
    <ul>
      {deliveries.map(({ gateway, at, receivers, fellBack }) => (
        <li key={gateway + at}>
          <Between from={loggedAt} to={at} /> to {whole(receivers)}{fellBack > 0 && <span className="warn">, {whole(fellBack)} with a full queue</span>} <span className="quiet id">{gateway}</span>
        </li>
      ))}
    </ul>
  )
}
