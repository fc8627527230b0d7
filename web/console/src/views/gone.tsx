import { type Answer, get } from '../api/client.js'
import { usePoll } from '../api/poll.js'
import { clock, count, whole } from '../format.js'
import { usePages } from '../pages.js'
import { href, useParam } from '../route.js'
import { Freshness, Problem, VirtualList } from '../ui.js'
import { Missing, SearchBy, Story } from './sockets.js'

type Row = Answer<'/sockets/ended'>['items'][number]
type Field = 'subject' | 'origin' | 'address'

const fields: Record<Field, string> = { subject: 'Subject', origin: 'Origin', address: 'Address or network' }
/** How many minutes before and after a time are searched. */
const spans = [1, 5, 15, 60]
const pageRows = 200
const maxRows = 20_000

/** The time that is searched: around a time, or up to now. */
function windowOf(at: string, minutes: number): { since: string; until: string } {
  const middle = at ? Date.parse(at) : Date.now()
  return { since: new Date(middle - minutes * 60_000).toISOString(), until: new Date(at ? middle + minutes * 60_000 : middle + 60_000).toISOString() }
}

/** The value of a field for a date and a time, in the time zone of the browser. */
function local(at: string): string {
  if (!at) return ''
  const date = new Date(at)
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 19)
}

/** Clients that have gone: who was cut off at a time, and why. */
export function Gone() {
  const [given, setAt] = useParam('at')
  const [within, setWithin] = useParam('within')
  const [by, setBy] = useParam('by')
  const [value, setValue] = useParam('value')
  const [open, setOpen] = useParam('id')
  const at = Number.isNaN(Date.parse(given)) ? '' : given
  const minutes = spans.includes(Number(within)) ? Number(within) : 5
  const field: Field = by in fields ? (by as Field) : 'subject'
  const filter = value ? { [field]: value } : {}
  const key = JSON.stringify({ at, minutes, filter })
  const first = usePoll(`gone ${key}`, async (signal) => {
    const window = windowOf(at, minutes)
    return { window, page: await get('/sockets/ended', { ...filter, ...window, limit: pageRows }, signal) }
  }, 3000)
  const page = first.data?.page
  const window = first.data?.window
  const { rows, further, more, error } = usePages({
    key, first: page, maxRows,
    load: (after: string) => get('/sockets/ended', { ...filter, ...(window ?? windowOf(at, minutes)), after, limit: pageRows }),
    beyond: (items) => {
      const known = new Set(items.map(nameOf))
      return (row) => !known.has(nameOf(row))
    },
  })
  const opened = rows.find(({ id }) => id === open)
  const reasons = new Map<string, number>()
  for (const { reason } of rows) reasons.set(reason, (reasons.get(reason) ?? 0) + 1)

  return (
    <>
      <div className="title">
        <h1><a className="crumb" href={href('sockets')}>Sockets</a> Gone</h1>
        <label>Around <input type="datetime-local" step={1} value={local(at)} onChange={({ target }) => setAt(target.value ? new Date(target.value).toISOString() : '')} /></label>
        <label>within <select value={minutes} onChange={({ target }) => setWithin(target.value)}>{spans.map((span) => <option key={span} value={span}>{span} min</option>)}</select></label>
        {at && <button type="button" onClick={() => setAt('')}>Up to now</button>}
        <SearchBy fields={fields} field={field} value={value} onField={setBy} onValue={setValue} />
        <Freshness of={first} />
      </div>
      <Problem error={first.error ?? error} />
      <Missing missing={page?.missing} />
      <div className="split">
        <div className="stack">
          <p className="summary" aria-live="polite">
            {page && window && <><b>{whole(rows.length)}{further ? '+' : ''}</b> {rows.length === 1 ? 'client has' : 'clients have'} gone from {count(page.gateways.length)} {page.gateways.length === 1 ? 'gateway' : 'gateways'} <span className="quiet">from {clock(window.since).slice(0, -4)} to {at ? clock(window.until).slice(0, -4) : 'now'}</span></>}
            {[...reasons].sort(([, a], [, b]) => b - a).slice(0, 5).map(([reason, n]) => <span key={reason} className="reason">{whole(n)} × {reason || 'no reason'}</span>)}
          </p>
          <VirtualList label="Clients that have gone" layout="gone" items={rows} itemKey={nameOf} selected={opened && nameOf(opened)} onOpen={({ id }) => setOpen(id)} onEnd={more}
            empty={page ? 'No client has gone in this time, as far as the gateways keep it.' : 'Asking …'}
            columns={[
              { title: 'Gone', render: ({ endedAt }) => <time dateTime={endedAt} title={endedAt}>{clock(endedAt)}</time> },
              { title: 'Why', render: ({ reason }) => reason || 'no reason is recorded' },
              { title: 'Client', render: ({ id }) => <a className="id" href={href('gone', { at, within, by, value, id })} aria-current={id === open || undefined}>{id}</a> },
              { title: 'Subject', wide: true, render: ({ subject }) => <span className="id">{subject || <span className="quiet">none</span>}</span> },
              { title: 'Address', wide: true, render: ({ address }) => <span className="id">{address}</span> },
            ]} />
        </div>
        {open ? <Story key={open} id={open} onChanged={first.refresh} /> : <section className="detail"><p className="quiet">Open a client to see what it was sent last.</p></section>}
      </div>
    </>
  )
}

function nameOf({ id, gateway, endedAt }: Row): string {
  return `${endedAt} ${id} ${gateway}`
}
