import { get } from '../api/client.js'
import { usePoll } from '../api/poll.js'
import { bytes, clock, count, percent, seconds, whole } from '../format.js'
import { useHistory } from '../live.js'
import { href } from '../route.js'
import { Command, Freshness, Problem, Stat, Table } from '../ui.js'

export function Log() {
  const polled = usePoll('log', (signal) => get('/log', undefined, signal), 2000)
  const history = useHistory()
  const log = polled.data
  const full = history?.full() ?? null
  return (
    <>
      <div className="title"><h1>Log</h1><Freshness of={polled} /></div>
      <Problem error={polled.error} />
      <dl className="stats">
        <Stat name="Epoch" value={<span className="id">{log?.epoch ?? '–'}</span>} />
        <Stat name="Oldest sequence" value={log ? whole(log.first) : '–'} />
        <Stat name="Newest sequence" value={log ? whole(log.last) : '–'} />
        <Stat name="Full in" value={full === null ? '–' : full === Infinity ? 'not growing' : seconds(full)} note="at the rate of the last minutes" />
      </dl>
      <section>
        <h2>Streams</h2>
        <Table label="Streams" rows={log?.streams ?? []} rowKey={({ name }) => name} empty="Asking …" columns={[
          { title: 'Stream', render: ({ name }) => <code>{name}</code> },
          { title: 'Messages', number: true, render: ({ messages }) => whole(messages) },
          { title: 'Size', number: true, render: (row) => bytes(row.bytes) },
          { title: 'Limit', number: true, render: ({ maxBytes }) => (maxBytes > 0 ? bytes(maxBytes) : 'none') },
          { title: 'Full', number: true, render: ({ fullPercent, maxBytes }) => (maxBytes > 0 ? <span className={fullPercent > 80 ? 'warn' : ''}>{percent(fullPercent)}</span> : '') },
          { title: 'When full', wide: true, render: ({ whenFull }) => whenFull },
          { title: 'Kept', number: true, wide: true, render: ({ maxAgeSeconds }) => (maxAgeSeconds > 0 ? seconds(maxAgeSeconds) : 'for ever') },
          { title: 'Oldest', wide: true, render: ({ firstAt }) => clock(firstAt ?? undefined) },
          { title: 'Replicas', number: true, wide: true, render: ({ replicas, laggingReplicas }) => <>{replicas}{laggingReplicas?.length ? <span className="bad"> lagging: {laggingReplicas.join(', ')}</span> : ''}</> },
        ]} />
      </section>
      <section>
        <h2>Consumers</h2>
        <Table label="Consumers" rows={log?.consumers ?? []} rowKey={({ name }) => name} columns={[
          { title: 'Consumer', render: ({ name }) => <code>{name}</code> },
          { title: 'Lag', number: true, render: ({ lagEvents }) => count(lagEvents) },
          { title: 'Age of the oldest', number: true, render: ({ lagSeconds }) => seconds(lagSeconds) },
          { title: 'Acknowledged', number: true, wide: true, render: ({ acknowledged }) => whole(acknowledged) },
          { title: 'In flight', number: true, wide: true, render: ({ inFlight }) => whole(inFlight) },
          { title: 'Redelivered', number: true, wide: true, render: ({ redelivered }) => whole(redelivered) },
          { title: 'State', render: ({ neverRan, paused, durable }) => (neverRan ? 'never ran' : paused ? 'paused' : durable ? 'durable' : 'ends with its reader') },
        ]} />
      </section>
      <section className="small">
        <h2>Dead letters <small>by reason</small></h2>
        <Table label="Dead letters by reason" rows={Object.entries(log?.deadLetters ?? {})} rowKey={([reason]) => reason} columns={[
          { title: 'Reason', render: ([reason]) => <a href={href('letters', { reason })}><code>{reason}</code></a> },
          { title: 'Letters', number: true, render: ([, letters]) => whole(letters) },
        ]} />
      </section>
      <section>
        <h2>Limits and copies</h2>
        <Command text="realtime log set --help">Change the limits of the log:</Command>
        <Command text="realtime backup DIR">Save the log with checksums:</Command>
      </section>
    </>
  )
}
