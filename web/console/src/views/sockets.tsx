import { useEffect, useState } from 'react'
import { type Answer, type Body, get, post } from '../api/client.js'
import { usePoll } from '../api/poll.js'
import { Confirm } from '../confirm.js'
import { bytes, clock, count, whole } from '../format.js'
import { usePages } from '../pages.js'
import { href, useParam } from '../route.js'
import { Age, Freshness, Problem, Table, useChange, VirtualList } from '../ui.js'

type Page = Answer<'/sockets'>
type Field = 'jobId' | 'subject' | 'origin' | 'address'

const fields: Record<Field, string> = { jobId: 'Job', subject: 'Subject', origin: 'Origin', address: 'Address or network' }
const pageRows = 200
const maxRows = 20_000

/** Says which gateways have not answered. */
export function Missing({ missing }: { missing: Page['missing'] | undefined }) {
  if (!missing?.length) return null
  return <p className="problem" role="alert"><strong>Not all gateways have answered in full:</strong> {missing.map(({ gateway, reason }) => `${gateway} (${reason})`).join(', ')}. What they have is not shown, or not all of it.</p>
}

export function Sockets() {
  const [by, setBy] = useParam('by')
  const [value, setValue] = useParam('value')
  const [open, setOpen] = useParam('id')
  const field: Field = by in fields ? (by as Field) : 'jobId'
  const filter = value ? { [field]: value } : {}
  const key = JSON.stringify(filter)
  const first = usePoll(`sockets ${key}`, (signal) => get('/sockets', { ...filter, limit: pageRows }, signal), 2000)
  const { rows, further, more, error } = usePages({
    key, first: first.data, maxRows,
    load: (after: string) => get('/sockets', { ...filter, after, limit: pageRows }),
    beyond: (page) => {
      const last = page.at(-1)?.id ?? ''
      return ({ id }) => id > last
    },
  })

  return (
    <>
      <div className="title">
        <h1>Sockets</h1>
        <SearchBy fields={fields} field={field} value={value} onField={setBy} onValue={setValue} />
        <a href={href('gone', field === 'jobId' ? {} : { by, value })}>Who has gone, and why</a>
        <p className="quiet" aria-live="polite">{first.data && `${whole(rows.length)}${further ? '+' : ''} ${rows.length === 1 ? 'client' : 'clients'} at ${count(first.data.gateways.length)} ${first.data.gateways.length === 1 ? 'gateway' : 'gateways'}`}</p>
        <Freshness of={first} />
      </div>
      <Problem error={first.error ?? error} />
      <Missing missing={first.data?.missing} />
      <div className="split">
        <div className="stack">
          {value && (field === 'subject' || field === 'jobId') && (
            <div className="actions">
              <Close what={field === 'subject' ? `all clients of the subject ${value}` : `all clients that follow ${value}`} selection={{ [field]: value }} onDone={first.refresh} />
              {field === 'subject' && <a href={href('revocations', { kind: 'subject', value })}>Revoke the subject, so that it stays out</a>}
            </div>
          )}
          <VirtualList label="Sockets" layout="sockets" items={rows} itemKey={({ id }) => id} selected={open} onOpen={({ id }) => setOpen(id)} onEnd={more}
            empty={first.data ? (value ? 'No connected client matches. A client that has gone can be opened by its id.' : 'No client is connected.') : 'Asking …'}
            columns={[
              { title: 'Client', render: ({ id }) => <a className="id" href={href('sockets', { by, value, id })} aria-current={id === open || undefined}>{id}</a> },
              { title: 'Subject', render: ({ subject }) => <span className="id">{subject || <span className="quiet">none</span>}</span> },
              { title: 'Transport', wide: true, render: ({ transport }) => transport },
              { title: 'Connected', wide: true, render: ({ connectedAt }) => <Age time={connectedAt} /> },
              { title: 'Jobs', number: true, render: ({ subscriptions }) => whole(subscriptions) },
              { title: 'Queue', number: true, wide: true, render: ({ queuedBytes }) => bytes(queuedBytes) },
            ]} />
        </div>
        {open ? <Story key={open} id={open} onChanged={first.refresh} /> : (
          <section className="detail">
            <p className="quiet">Open a client to see what it follows and what happened to it.</p>
            <ById onOpen={setOpen} />
          </section>
        )}
      </div>
    </>
  )
}

/** Searches by one of several fields. */
export function SearchBy<F extends string>({ fields, field, value, onField, onValue }: { fields: Record<F, string>; field: F; value: string; onField: (field: string) => void; onValue: (value: string) => void }) {
  const [typed, setTyped] = useState(value)
  useEffect(() => setTyped(value), [value])
  return (
    <form onSubmit={(event) => {
      event.preventDefault()
      onValue(typed.trim())
    }}>
      <label><span className="hidden">Search by</span><select value={field} onChange={({ target }) => onField(target.value)}>{Object.entries<string>(fields).map(([name, text]) => <option key={name} value={name}>{text}</option>)}</select></label>{' '}
      <label className="search"><span className="hidden">Value</span><input type="search" placeholder={fields[field]} value={typed} spellCheck={false} onChange={({ target }) => {
        setTyped(target.value)
        if (target.value === '') onValue('')
      }} /></label>
    </form>
  )
}

function ById({ onOpen }: { onOpen: (id: string) => void }) {
  const [typed, setTyped] = useState('')
  return (
    <form onSubmit={(event) => {
      event.preventDefault()
      if (typed.trim()) onOpen(typed.trim())
    }}>
      <label>By its id <input value={typed} spellCheck={false} onChange={({ target }) => setTyped(target.value)} /></label> <button type="submit">Open</button>
    </form>
  )
}

function Close({ what, selection, onDone }: { what: string; selection: Body<'/sockets/close'>; onDone: () => void }) {
  const close = useChange<string>()
  const [reason, setReason] = useState('')
  return (
    <>
      <Confirm label="Disconnect" disabled={close.busy} action={`Disconnect ${what}`} onConfirm={() => close.run(async () => {
        const { clients, missing } = await post('/sockets/close', { ...selection, ...(reason ? { reason } : {}) })
        onDone()
        return `${whole(clients)} ${clients === 1 ? 'client' : 'clients'} disconnected${missing.length > 0 ? `; ${missing.length} ${missing.length === 1 ? 'gateway has' : 'gateways have'} not answered` : ''}.`
      })} fields={<label>Reason, for the audit trail <input value={reason} onChange={({ target }) => setReason(target.value)} /></label>}>
        This disconnects <b className="id">{what}</b> at every gateway. Sockets do not reconnect by themselves, event streams do; a revocation keeps a client out.
      </Confirm>
      {close.result && <p role="status">{close.result}</p>}
      <Problem error={close.error} />
    </>
  )
}

export function Story({ id, onChanged }: { id: string; onChanged: () => void }) {
  const polled = usePoll(`socket ${id}`, (signal) => get('/socket', { id }, signal), 2000)
  const stories = polled.data?.items ?? []
  return (
    <section className="detail" aria-label={`Client ${id}`}>
      <h2 className="id">{id}</h2>
      <Problem error={polled.error} />
      <Missing missing={polled.data?.missing} />
      {polled.data && stories.length === 0 && <p className="quiet">No gateway knows this client. One that has gone is recorded for a while.</p>}
      {stories.map((story) => (
        <div key={story.gateway + story.connectedAt}>
          {story.endedAt ? <p className="complaint">Ended {clock(story.endedAt)}: {story.reason || 'no reason is recorded'}</p> : <div className="actions"><Close what={`the client ${id}`} selection={{ id }} onDone={() => {
            onChanged()
            polled.refresh()
          }} /></div>}
          <dl className="pairs">
            <dt>Gateway</dt><dd className="id">{story.gateway}</dd>
            <dt>Transport</dt><dd>{story.transport}</dd>
            <dt>Subject</dt><dd className="id">{story.subject ? <a href={href('sockets', { by: 'subject', value: story.subject })}>{story.subject}</a> : 'none'}</dd>
            <dt>Origin</dt><dd className="id">{story.origin || 'none'}</dd>
            <dt>Address</dt><dd className="id">{story.address && <a href={href('sockets', { by: 'address', value: story.address })}>{story.address}</a>}</dd>
            <dt>Connected</dt><dd>{clock(story.connectedAt)}</dd>
            {!story.endedAt && <><dt>Queue</dt><dd>{bytes(story.queuedBytes)}, {whole(story.queuedEvents)} events</dd></>}
          </dl>
          {!story.endedAt && <><h2>Follows</h2>
          <Table label="Follows" rows={story.follows} rowKey={({ jobId }) => jobId} empty="No job." columns={[
            { title: 'Job', render: ({ jobId, cursor }) => <a className="id" href={href('job', { id: jobId, at: cursor || undefined })}>{jobId}</a> },
            { title: 'State', render: ({ state }) => state },
            { title: 'Cursor', number: true, render: ({ cursor }) => whole(cursor) },
            { title: 'Behind', number: true, render: ({ behind }) => count(behind) },
          ]} /></>}
          <h2>What happened <small>the newest last{story.dropped > 0 && `, ${whole(story.dropped)} earlier steps are not kept`}</small></h2>
          <Table label="Steps" rows={story.steps} rowKey={(step) => `${step.at} ${step.kind} ${step.jobId ?? ''} ${step.first ?? ''} ${step.count}`} columns={[
            { title: 'Time', render: ({ at }) => clock(at) },
            { title: 'Step', render: ({ kind, count: times }) => <>{kind}{times > 1 && ` × ${whole(times)}`}</> },
            { title: 'Of', render: ({ jobId, first, last, detail }) => <span className="id">{[jobId, first ? `${first}${last && last !== first ? `–${last}` : ''}` : '', detail].filter(Boolean).join(' ')}</span> },
          ]} />
        </div>
      ))}
    </section>
  )
}
