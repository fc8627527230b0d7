import { get } from '../api/client.js'
import { usePoll } from '../api/poll.js'
import { clock } from '../format.js'
import { usePages } from '../pages.js'
import { useParam } from '../route.js'
import { Command, Freshness, Json, Problem, VirtualList } from '../ui.js'

/** What a note has, see internal/admin. */
interface Note {
  id?: string
  stage?: string
  at?: string
  action?: string
  target?: unknown
  role?: string
  from?: string
  error?: string
}

const pageRows = 100
const maxRows = 5000

/** The notes before a number, the newest first. */
async function page(before: number, signal?: AbortSignal) {
  const { items, before: next } = await get('/audit', { before, limit: pageRows }, signal)
  return { items: [...items].reverse(), next }
}

export function Audit() {
  const [open, setOpen] = useParam('note')
  const newest = usePoll('audit', (signal) => page(0, signal), 3000)
  const { rows, more, error } = usePages({
    key: 'audit', first: newest.data, maxRows, load: page,
    beyond: (first) => {
      const lowest = first.at(-1)?.number ?? 0
      return ({ number }) => number < lowest
    },
  })
  const opened = rows.find(({ number }) => String(number) === open)

  return (
    <>
      <div className="title"><h1>Audit</h1><p className="quiet">Changes over the API, the newest first</p><Freshness of={newest} /></div>
      <Problem error={newest.error ?? error} />
      <div className="split">
        <VirtualList label="Notes" layout="audit" items={rows} itemKey={({ number }) => number} selected={opened?.number} onOpen={({ number }) => setOpen(String(number))} onEnd={more}
          empty={newest.data ? 'Nothing was changed over the API.' : 'Asking …'}
          columns={[
            { title: 'Time', render: ({ note }) => clock((note as Note).at) },
            { title: 'Change', render: ({ note }) => <code>{(note as Note).action}</code> },
            { title: 'Stage', render: ({ note }) => <span className={(note as Note).stage === 'failed' ? 'bad' : ''}>{(note as Note).stage}</span> },
            { title: 'Role', wide: true, render: ({ note }) => (note as Note).role },
            { title: 'From', wide: true, render: ({ note }) => <span className="id">{(note as Note).from}</span> },
            { title: 'Of', wide: true, render: ({ note }) => <span className="mono quiet">{JSON.stringify((note as Note).target) ?? ''}</span> },
          ]} />
        <section className="detail" aria-label="Selected note">
          {opened ? <><h2>Note {opened.number}</h2><Json label="Note" value={opened.note} /></> : <p className="quiet">Open a note to see all of it.</p>}
          <Command text="realtime audit list">Erasures and other operations of the command line:</Command>
        </section>
      </div>
    </>
  )
}
