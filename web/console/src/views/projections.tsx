import { useMemo } from 'react'
import { get, post } from '../api/client.js'
import { usePoll } from '../api/poll.js'
import { Chart } from '../chart.js'
import { Confirm } from '../confirm.js'
import { count, seconds, whole } from '../format.js'
import { useHistory } from '../live.js'
import { Freshness, Problem, Table, useChange } from '../ui.js'
import { LongWork } from './work.js'

export function Projections() {
  const polled = usePoll('projections', (signal) => get('/projections', undefined, signal), 2000)
  const history = useHistory()
  const size = history?.points.length
  const lags = useMemo(() => {
    const points = history?.points ?? []
    const names = [...new Set(points.flatMap(({ lags: of }) => [...of.keys()]))].sort()
    return { times: points.map(({ t }) => t), lines: names.map((label) => ({ label, values: points.map(({ lags: of }) => of.get(label) ?? null) })) }
  }, [history, size, history?.points.at(-1)])
  return (
    <>
      <div className="title"><h1>Projections</h1><Freshness of={polled} /></div>
      <Problem error={polled.error} />
      <Table label="Projections" rows={polled.data?.items ?? []} rowKey={({ name }) => name} empty={polled.data ? 'MONGODB_URI is not set: there are no read models, and catch-up is served from the log.' : 'Asking …'} columns={[
        { title: 'Projection', render: ({ name }) => name },
        { title: 'State', render: ({ neverRan, paused, lag }) => (neverRan ? <span className="warn">never ran</span> : paused ? <span className="warn">paused</span> : lag === 0 ? 'has all' : 'behind') },
        { title: 'Lag', number: true, render: ({ lag }) => `${count(lag)} events` },
        { title: 'Age of the oldest', number: true, render: ({ lagSeconds }) => seconds(lagSeconds) },
        { title: 'Complete up to', number: true, wide: true, render: ({ floor }) => whole(floor) },
      ]} />
      {lags.lines.length > 0 && <div className="charts one"><Chart title="Lag in events, as this gateway measures it" times={lags.times} lines={lags.lines} write={count} least={4} integers /></div>}
      <section>
        <h2>Verify and rebuild</h2>
        <p className="quiet">Both read the whole log. They go on when this page is closed.</p>
        {(polled.data?.items ?? []).map(({ name }) => <Start key={name} name={name} />)}
      </section>
      <LongWork below="projection/" />
    </>
  )
}

function Start({ name }: { name: string }) {
  const change = useChange<unknown>()
  return (
    <div className="actions flat">
      <button type="button" disabled={change.busy} onClick={() => change.run(() => post('/projections/verify', { projection: name }))}>Verify {name}</button>
      <Confirm label={`Rebuild ${name}, and swap`} disabled={change.busy} action={`Rebuild and swap ${name}`} onConfirm={() => change.run(() => post('/projections/rebuild', { projection: name, swap: true }))}>
        This reads the whole log into a new collection, compares the two, and, if they are equal, puts the new collection into the place of <b>{name}</b>. The replaced collection is kept. Traffic goes on meanwhile.
      </Confirm>
      <Problem error={change.error} />
    </div>
  )
}
