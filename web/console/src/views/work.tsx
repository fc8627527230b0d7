import { type Answer, get, post } from '../api/client.js'
import { usePoll } from '../api/poll.js'
import { clock, percent, whole } from '../format.js'
import { useParam } from '../route.js'
import { Freshness, Json, Problem, Table, useChange } from '../ui.js'

type Piece = Answer<'/work'>['items'][number]

/** Long work: what runs, how far it is, and what came of it. */
export function Work() {
  const [open, setOpen] = useParam('work')
  const polled = usePoll('work', (signal) => get('/work', undefined, signal), 1000)
  const cancel = useChange<unknown>()
  const rows = [...(polled.data?.items ?? [])].reverse()
  const opened = rows.find(({ id }) => id === open)
  return (
    <section>
      <h2>Long work <small>of all gateways, the newest first</small> <Freshness of={polled} /></h2>
      <Problem error={polled.error ?? cancel.error} />
      <Table label="Long work" rows={rows} rowKey={({ id }) => id} empty={polled.data ? 'No long work is recorded.' : 'Asking …'} columns={[
        { title: 'Work', render: ({ id, kind, target }) => <button type="button" className="link" onClick={() => setOpen(id === open ? '' : id)} aria-expanded={id === open}>{kind} <span className="id">{target}</span></button> },
        { title: 'Began', wide: true, render: ({ beganAt }) => clock(beganAt) },
        { title: 'State', render: (row) => <State of={row} /> },
        { title: 'Done', number: true, render: ({ done, total }) => (total > 0 ? percent((100 * done) / total) : whole(done)) },
        { title: 'Gateway', wide: true, render: ({ gateway }) => <span className="id">{gateway}</span> },
        { title: 'By', wide: true, render: ({ by, from }) => `${by}, ${from}` },
        { title: 'Cancel', render: ({ id, state, cancelling }) => (state === 'running' ? <button type="button" disabled={cancelling || cancel.busy} onClick={() => cancel.run(async () => {
          await post('/work/cancel', { id })
          polled.refresh()
        })}>{cancelling ? 'Cancelling …' : 'Cancel'}</button> : '') },
      ]} />
      {opened && <Json label="Work" value={opened} />}
    </section>
  )
}

function State({ of: { state, step, error } }: { of: Piece }) {
  return <span className={state === 'failed' || state === 'interrupted' ? 'bad' : ''}>{state}{step && state === 'running' ? `: ${step}` : ''}{error && `: ${error}`}</span>
}
