import { get, post } from '../api/client.js'
import { usePoll } from '../api/poll.js'
import { clock, percent, whole } from '../format.js'
import { useParam } from '../route.js'
import { Freshness, Json, Problem, Table, useChange } from '../ui.js'
import { Comparison, Outcome } from './comparison.js'
import { WorkState } from './progress.js'

/** What takes longer than a request, at all gateways and on the command line. */
export function Work() {
  return (
    <>
      <div className="title"><h1>Work</h1><p className="quiet">What takes longer than a request. It goes on when this page is closed.</p></div>
      <LongWork />
      <Operations />
    </>
  )
}

/** Long work: what runs, how far it is, and what came of it. `below` shows that on targets with this beginning alone. */
export function LongWork({ below = '' }: { below?: string }) {
  const [open, setOpen] = useParam('work')
  const polled = usePoll('work', (signal) => get('/work', undefined, signal), 1000)
  const cancel = useChange<unknown>()
  const rows = (polled.data?.items ?? []).filter(({ target }) => target.startsWith(below)).reverse()
  const opened = rows.find(({ id }) => id === open)
  return (
    <section>
      <h2>Long work <small>of all gateways, the newest first</small> <Freshness of={polled} short /></h2>
      <Problem error={polled.error ?? cancel.error} />
      <Table label="Long work" rows={rows} rowKey={({ id }) => id} empty={polled.data ? 'No long work is recorded.' : 'Asking …'} columns={[
        { title: 'Work', render: ({ id, kind, target, request }) => <button type="button" className="link" onClick={() => setOpen(id === open ? '' : id)} aria-expanded={id === open}>{kind}{(request as { dryRun?: boolean } | undefined)?.dryRun && ', dry run'} <span className="id">{target}</span></button> },
        { title: 'Began', wide: true, render: ({ beganAt }) => clock(beganAt) },
        { title: 'State', render: (row) => <><WorkState of={row} /> <Outcome of={row} /></> },
        { title: 'Done', number: true, render: (row) => <Done of={row} /> },
        { title: 'Gateway', wide: true, render: ({ gateway }) => <span className="id">{gateway}</span> },
        { title: 'By', wide: true, render: ({ by, from }) => `${by}, ${from}` },
        { title: 'Cancel', render: ({ id, state, cancelling }) => (state === 'running' ? <button type="button" disabled={cancelling || cancel.busy} onClick={() => cancel.run(async () => {
          await post('/work/cancel', { id })
          polled.refresh()
        })}>{cancelling ? 'Cancelling …' : 'Cancel'}</button> : '') },
      ]} />
      {opened && <Comparison of={opened} />}
      {opened && <Json label="Work" value={opened} />}
    </section>
  )
}

/** Operations of several steps, of gateways and of commands. */
function Operations() {
  const polled = usePoll('operations', (signal) => get('/operations', undefined, signal), 2000)
  return (
    <section>
      <h2>Operations <small>that run, and that wait to be resumed or undone</small> <Freshness of={polled} short /></h2>
      <Problem error={polled.error} />
      <Table label="Operations" rows={polled.data?.items ?? []} rowKey={({ id, target }) => `${id} ${target}`} empty={polled.data ? 'No operation runs, and none waits.' : 'Asking …'} columns={[
        { title: 'Operation', render: ({ kind, target }) => <>{kind} <span className="id">{target}</span></> },
        { title: 'Began', wide: true, render: ({ beganAt }) => clock(beganAt) },
        { title: 'State', render: (row) => <WorkState of={row} /> },
        { title: 'Done', number: true, render: (row) => <Done of={row} /> },
        { title: 'By', wide: true, render: ({ by, host, pid }) => <>{by} <span className="quiet id">{host}, process {pid}</span></> },
        { title: 'To resume', render: ({ resume, state }) => (state === 'running' ? '' : <code>{resume}</code>) },
      ]} />
    </section>
  )
}

function Done({ of: { done = 0, total = 0 } }: { of: { done?: number; total?: number } }) {
  return <>{total > 0 ? percent((100 * done) / total) : whole(done)}</>
}
