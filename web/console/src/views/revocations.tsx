import { type FormEvent, useState } from 'react'
import { get, post, type Result } from '../api/client.js'
import { usePoll } from '../api/poll.js'
import { Ask } from '../confirm.js'
import { clock } from '../format.js'
import { useParam } from '../route.js'
import { Freshness, Problem, Table, useChange } from '../ui.js'

const kinds = { subject: 'Subject (sub): tokens issued until now', token: 'Token (jti)', key: 'Key (kid): every token of it' } as const
type Kind = keyof typeof kinds
const does: Record<Kind, string> = {
  subject: 'This closes every socket and stream of the subject at every gateway, and refuses the tokens that were issued to it until now:',
  token: 'This closes every socket and stream that came with the token, at every gateway, and refuses the token:',
  key: 'This closes every socket and stream whose token was signed with the key, at every gateway, and refuses all tokens of the key:',
}

export function Revocations() {
  const [value, setValue] = useParam('value')
  const [kind, setKind] = useParam('kind')
  const [reason, setReason] = useState('')
  const polled = usePoll('revocations', (signal) => get('/revocations', { limit: 500 }, signal), 3000)
  const revoke = useChange<Result<'/revocations'>>()
  const lift = useChange<Result<'/revocations/lift'>>()
  const chosen: Kind = kind in kinds ? (kind as Kind) : 'subject'
  const of = value.trim()
  // The question is about one kind and value: another one has to be confirmed again.
  const [asked, setAsked] = useState('')
  const asking = of !== '' && asked === `${chosen} ${of}`
  const submit = (event: FormEvent) => {
    event.preventDefault()
    setAsked(asking ? '' : `${chosen} ${of}`)
  }
  return (
    <>
      <div className="title"><h1>Revocations</h1><Freshness of={polled} /></div>
      <Problem error={polled.error ?? revoke.error ?? lift.error} />
      <form className="bar" onSubmit={submit}>
        <label>Revoke <select value={chosen} onChange={({ target }) => setKind(target.value)}>{Object.entries(kinds).map(([name, text]) => <option key={name} value={name}>{text}</option>)}</select></label>
        <label>Value <input required value={value} spellCheck={false} onChange={({ target }) => setValue(target.value)} /></label>
        <label>Reason <input value={reason} onChange={({ target }) => setReason(target.value)} /></label>
        <button type="submit" className="danger" aria-expanded={asking} disabled={revoke.busy || !of}>Revoke …</button>
      </form>
      {asking && (
        <Ask action={`Revoke ${chosen} ${of}`} onClose={() => setAsked('')} onConfirm={() => revoke.run(async () => {
          const done = await post('/revocations', { kind: chosen, value: of, reason: reason.trim() })
          polled.refresh()
          return done
        })}>{does[chosen]} <b className="id">{of}</b>. A revocation can be lifted; the clients then have to connect again.</Ask>
      )}
      {revoke.result && <p role="status" className="pad">Revoked: {revoke.result.kind} {revoke.result.value}.</p>}
      <Table label="Revocations" rows={polled.data?.items ?? []} rowKey={(row) => `${row.kind} ${row.value}`} empty={polled.data ? 'Nothing is revoked.' : 'Asking …'} columns={[
        { title: 'Kind', render: (row) => row.kind },
        { title: 'Value', render: (row) => <span className="id">{row.value}</span> },
        { title: 'Since', render: (row) => clock(row.at) },
        { title: 'Reason', wide: true, render: (row) => row.reason },
        { title: 'Lift', render: (row) => <button type="button" disabled={lift.busy} onClick={() => lift.run(async () => {
          const done = await post('/revocations/lift', { kind: row.kind, value: row.value })
          polled.refresh()
          return done
        })}>Lift</button> },
      ]} />
      {polled.data?.next && <p className="quiet pad">There are more than 500. The API lists them in pages.</p>}
    </>
  )
}
