import { type FormEvent, useCallback, useEffect, useRef, useState } from 'react'
import { type Answer, ApiError, get } from '../api/client.js'
import { usePoll } from '../api/poll.js'
import { clock, count, whole } from '../format.js'
import { href, useParam } from '../route.js'
import { Freshness, Problem, VirtualList } from '../ui.js'
import { Missing, Story } from './sockets.js'

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
  const [typed, setTyped] = useState(value)
  useEffect(() => setTyped(value), [value])
  const at = Number.isNaN(Date.parse(given)) ? '' : given
  const minutes = spans.includes(Number(within)) ? Number(within) : 5
  const field: Field = by in fields ? (by as Field) : 'subject'
  const filter = value ? { [field]: value } : {}
  const key = JSON.stringify({ at, minutes, filter })
  const first = usePoll(`gone ${key}`, async (signal) => {
    const window = windowOf(at, minutes)
    return { window, page: await get('/sockets/ended', { ...filter, ...window, limit: pageRows }, signal) }
  }, 3000)
  const [more, setMore] = useState<{ rows: Row[]; next: string | undefined }>({ rows: [], next: undefined })
  const [moreError, setMoreError] = useState<ApiError | undefined>()
  const busy = useRef(false)
  useEffect(() => setMore({ rows: [], next: undefined }), [key])
  const page = first.data?.page
  const known = new Set(page?.items.map(nameOf))
  const rows = [...(page?.items ?? []), ...more.rows.filter((row) => !known.has(nameOf(row)))]
  const next = more.next ?? page?.next ?? ''
  const window = first.data?.window
  const loadMore = useCallback(() => {
    if (!next || !window || busy.current || rows.length >= maxRows) return
    busy.current = true
    get('/sockets/ended', { ...(JSON.parse(key) as { filter: object }).filter, ...window, after: next, limit: pageRows })
      .then((got) => setMore((before) => ({ rows: [...before.rows, ...got.items], next: got.next ?? '' })), (error: unknown) => setMoreError(error as ApiError))
      .finally(() => (busy.current = false))
  }, [next, key, window, rows.length])
  const reasons = new Map<string, number>()
  for (const { reason } of rows) reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
  const submit = (event: FormEvent) => {
    event.preventDefault()
    setValue(typed.trim())
  }

  return (
    <>
      <div className="title">
        <h1><a className="crumb" href={href('sockets')}>Sockets</a> Gone</h1>
        <label>Around <input type="datetime-local" step={1} value={local(at)} onChange={({ target }) => setAt(target.value ? new Date(target.value).toISOString() : '')} /></label>
        <label>within <select value={minutes} onChange={({ target }) => setWithin(target.value)}>{spans.map((span) => <option key={span} value={span}>{span} min</option>)}</select></label>
        {at && <button type="button" onClick={() => setAt('')}>Up to now</button>}
        <form onSubmit={submit}>
          <label><span className="hidden">Search by</span><select value={field} onChange={({ target }) => setBy(target.value)}>{Object.entries(fields).map(([name, text]) => <option key={name} value={name}>{text}</option>)}</select></label>{' '}
          <label className="search"><span className="hidden">Value</span><input type="search" placeholder={fields[field]} value={typed} spellCheck={false} onChange={({ target }) => {
            setTyped(target.value)
            if (target.value === '') setValue('')
          }} /></label>
        </form>
        <Freshness of={first} />
      </div>
      <Problem error={first.error ?? moreError} />
      <Missing missing={page?.missing} />
      <div className="split">
        <div className="stack">
          <p className="summary" aria-live="polite">
            {page && window && <><b>{whole(rows.length)}{next ? '+' : ''}</b> {rows.length === 1 ? 'client has' : 'clients have'} gone from {count(page.gateways.length)} {page.gateways.length === 1 ? 'gateway' : 'gateways'} <span className="quiet">from {clock(window.since).slice(0, -4)} to {at ? clock(window.until).slice(0, -4) : 'now'}</span></>}
            {[...reasons].sort(([, a], [, b]) => b - a).slice(0, 5).map(([reason, n]) => <span key={reason} className="reason">{whole(n)} × {reason || 'no reason'}</span>)}
          </p>
          <VirtualList label="Clients that have gone" layout="gone" items={rows} itemKey={nameOf} selected={rows.find(({ id }) => id === open) && nameOf(rows.find(({ id }) => id === open) as Row)} onOpen={({ id }) => setOpen(id)} onEnd={loadMore}
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
