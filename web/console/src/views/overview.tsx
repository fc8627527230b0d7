import { useMemo } from 'react'
import { usePoll } from '../api/poll.js'
import { get } from '../api/client.js'
import { Chart } from '../chart.js'
import { conditions } from '../conditions.js'
import { type CounterName, by, type GaugeName, type History, type Point, stages, sum } from '../figures.js'
import { bytes, count, percent, rate, seconds } from '../format.js'
import { freshness, histories, shown, useHealth, useHistory } from '../live.js'
import { href } from '../route.js'
import { useStore } from '../store.js'
import { Problem, Stat, Table } from '../ui.js'

export function Overview() {
  const fresh = useStore(freshness)
  const health = useHealth()
  const letters = usePoll('letters-total', (signal) => get('/log', undefined, signal), 5000)
  const history = useHistory()
  const all = useStore(histories)
  const last = history?.points.at(-1)
  const found = conditions(history?.latest, health.data)
  const waiting = letters.data ? Object.values(letters.data.deadLetters ?? {}).reduce((a, b) => a + b, 0) : null
  const others = history?.latest ? sum(history.latest, 'realtime_eventstore_other_gateways') : 0

  return (
    <>
      <div className="title">
        <h1>Overview</h1>
        <p className="quiet">
          {history?.latest && <>gateway {history.gateway}, {history.latest.version}, up {seconds((Date.parse(history.latest.at) - Date.parse(history.latest.startedAt)) / 1000)}</>}
          {others ? `; ${count(others)} more ${others === 1 ? 'gateway' : 'gateways'} not in these figures` : ''}
        </p>
        {all.length > 1 && (
          <label>Gateway <select value={history?.gateway ?? ''} onChange={({ target }) => shown.set(target.value)}>
            {all.map(({ gateway }) => <option key={gateway} value={gateway}>{gateway}</option>)}
          </select></label>
        )}
      </div>
      <Problem error={fresh.error ?? health.error} />
      <section aria-label="Needs attention" className={`conditions ${found.length === 0 ? 'ok' : ''}`}>
        {found.length === 0 ? <p>{health.data ? `All parts are well: ${Object.keys(health.data.parts).join(', ') || 'ready'}.` : 'Asking for the health …'}</p> : (
          <ul>{found.map(({ severity, title, detail, runbook }) => (
            <li key={title + detail} className={severity}><strong>{title}</strong> <span>{detail}</span>{runbook && <em>Runbook: {runbook}</em>}</li>
          ))}</ul>
        )}
      </section>
      <dl className="stats">
        <Stat name="Received" value={rate(last?.rates.received)} note={last?.gauges.waiting ? `${count(last.gauges.waiting)} waiting` : undefined} />
        <Stat name="Delivered" value={rate(last?.rates.delivered)} />
        <Stat name="p95 to delivery" value={seconds(last?.p95[3])} />
        <Stat name="Connections" value={count(last?.gauges.connections)} note={`${count(last?.gauges.subscriptions)} subscriptions`} />
        <Stat name="Projection lag" value={seconds(last?.gauges.lagSeconds)} note={last?.gauges.lagEvents ? `${count(last.gauges.lagEvents)} events` : undefined} tone={(last?.gauges.lagSeconds ?? 0) > 30 ? 'warn' : undefined} />
        <LogFill history={history} />
        <Stat name="Dead letters" value={<a href={href('letters')}>{count(waiting)}</a>} note={last?.rates.deadLettered ? rate(last.rates.deadLettered) : undefined} tone={last?.rates.deadLettered ? 'bad' : undefined} />
        <Stat name="Refused" value={rate(last?.rates.refused)} note={last?.rates.closed ? `${rate(last.rates.closed)} closed` : undefined} tone={last?.rates.refused ? 'warn' : undefined} />
      </dl>
      <Charts points={history?.points ?? []} size={history?.points.length ?? 0} last={last} />
      <div className="columns">
        <Stages history={history} />
        <Refusals history={history} />
      </div>
    </>
  )
}

function LogFill({ history }: { history: History | undefined }) {
  const gauges = history?.points.at(-1)?.gauges
  const used = gauges?.logBytes != null && gauges.logMaxBytes ? (100 * gauges.logBytes) / gauges.logMaxBytes : null
  const left = history?.full() ?? null
  const note = left === null ? 'forecast in 30 s' : left === Infinity ? 'not growing' : `full in ${seconds(left)}`
  return <Stat name="Log" value={used === null ? bytes(gauges?.logBytes) : percent(used)} note={used === null ? 'no limit' : note} tone={used !== null && used > 80 ? 'warn' : undefined} />
}

function Charts({ points, size, last }: { points: Point[]; size: number; last: Point | undefined }) {
  // Points are added in place; their number and the newest one say that there are new ones.
  const series = useMemo(() => {
    const rates = (label: string, name: CounterName) => ({ label, values: points.map((point) => point.rates[name]) })
    const gauge = (label: string, name: GaugeName) => ({ label, values: points.map((point) => point.gauges[name]) })
    return {
      times: points.map(({ t }) => t),
      events: [rates('received', 'received'), rates('stored', 'stored'), rates('delivered', 'delivered')],
      latency: stages.map(({ label }, i) => ({ label, values: points.map(({ p95 }) => p95[i] ?? null) })),
      clients: [gauge('connections', 'connections'), gauge('subscriptions', 'subscriptions'), gauge('jobs followed', 'jobs')],
      refusals: [rates('refused', 'refused'), rates('closed', 'closed'), rates('dead-lettered', 'deadLettered')],
    }
  }, [points, size, last])
  return (
    <div className="charts">
      <Chart title="Events" times={series.times} lines={series.events} write={rate} />
      <Chart title="Latency, p95" times={series.times} lines={series.latency} write={seconds} least={0.001} />
      <Chart title="Clients" times={series.times} lines={series.clients} write={count} least={4} integers />
      <Chart title="Refusals" times={series.times} lines={series.refusals} write={rate} />
    </div>
  )
}

function Stages({ history }: { history: History | undefined }) {
  const rows = stages.map((stage) => ({ ...stage, ...(history?.percentiles(stage.name) ?? { count: 0, p50: null, p95: null, p99: null }) }))
  return (
    <section>
      <h2>Latency by stage <small>last 10 s</small></h2>
      <Table label="Latency by stage" rows={rows} rowKey={({ name }) => name} columns={[
        { title: 'Stage', render: ({ label }) => label },
        { title: 'Events', number: true, wide: true, render: (row) => count(row.count) },
        { title: 'p50', number: true, render: ({ p50 }) => seconds(p50) },
        { title: 'p95', number: true, render: ({ p95 }) => seconds(p95) },
        { title: 'p99', number: true, render: ({ p99 }) => seconds(p99) },
      ]} />
    </section>
  )
}

const sources = [
  { what: 'refused', name: 'realtime_fanout_refused_total', label: 'code' },
  { what: 'closed', name: 'realtime_fanout_closed_total', label: 'code' },
  { what: 'publish refused', name: 'realtime_ingest_http_refused_events_total', label: 'code' },
  { what: 'dead-lettered', name: 'realtime_ingest_rejected_events_total', label: 'reason' },
  { what: 'gap', name: 'realtime_fanout_gaps_total', label: 'reason' },
] as const

function Refusals({ history }: { history: History | undefined }) {
  const rows = history ? sources.flatMap(({ what, name, label }) => history.growth(name, label).map((row) => ({ what, ...row }))).filter(({ total }) => total > 0) : []
  rows.sort((a, b) => b.minute - a.minute || b.total - a.total)
  const lags = history?.latest ? [...by(history.latest, 'realtime_projections_lag_records', 'projection')] : []
  return (
    <section>
      <h2>Refused and closed <small>by code, since this process started</small></h2>
      <Table label="Refused and closed" rows={rows} rowKey={({ what, key }) => what + key} empty="Nothing was refused." columns={[
        { title: 'What', render: ({ what }) => what },
        { title: 'Code', render: ({ key }) => <code>{key}</code> },
        { title: 'Last minute', number: true, render: ({ minute }) => count(minute) },
        { title: 'Total', number: true, render: ({ total }) => count(total) },
      ]} />
      {lags.length > 0 && <p className="quiet">Lag: {lags.map(([name, lag]) => `${name} ${count(lag)} events`).join(', ')}. <a href={href('projections')}>Projections</a></p>}
    </section>
  )
}
