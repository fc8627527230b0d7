import { useCallback, useEffect, useState } from 'react'
import { ApiError, get, post, type Result } from '../api/client.js'
import { usePoll } from '../api/poll.js'
import { decode, show } from '../bodies.js'
import { Confirm } from '../confirm.js'
import { bytes, clock, whole } from '../format.js'
import { usePages } from '../pages.js'
import { href, useParam } from '../route.js'
import { Freshness, Json, Problem, useChange, VirtualList } from '../ui.js'

type Outcome = Result<'/letters/redrive'>['items'][number]

/** One change takes at most so many letters. */
const maxChange = 200
const pageRows = 200
const maxRows = 10_000
const every = 5000

export function Letters() {
  const [reason, setReason] = useParam('reason')
  const [job, setJob] = useParam('job')
  const [open, setOpen] = useParam('letter')
  const [typed, setTyped] = useState(job)
  useEffect(() => setTyped(job), [job])
  const [chosen, setChosen] = useState<ReadonlySet<number>>(new Set())
  const filter = { ...(reason ? { reason } : {}), ...(job ? { jobId: job } : {}) }
  const key = JSON.stringify(filter)
  // The oldest letters are asked for again and again; further pages once.
  const first = usePoll(`letters ${key}`, (signal) => get('/letters', { ...filter, limit: pageRows }, signal), every)
  const status = usePoll('letters by reason', (signal) => get('/log', undefined, signal), every)

  useEffect(() => setChosen(new Set()), [key])
  const { rows, further, more, clear, error } = usePages({
    key, first: first.data, maxRows,
    load: (after: number) => get('/letters', { ...filter, after, limit: pageRows }),
    beyond: (page) => {
      const last = page.at(-1)?.sequence ?? 0
      return ({ sequence }) => sequence > last
    },
  })

  const reasons = Object.entries(status.data?.deadLetters ?? {}).sort(([a], [b]) => (a < b ? -1 : 1))
  const select = (sequence: number, on: boolean) => setChosen((before) => {
    const after = new Set(before)
    if (on) after.add(sequence)
    else after.delete(sequence)
    return after
  })
  const marked = rows.filter(({ sequence }) => chosen.has(sequence)).map(({ sequence }) => sequence)
  const changed = useCallback(() => {
    clear()
    setChosen(new Set())
    first.refresh()
    status.refresh()
  }, [clear, first.refresh, status.refresh])
  const opened = /^\d+$/.test(open) ? Number(open) : undefined

  return (
    <>
      <div className="title">
        <h1>Dead letters</h1>
        <label>Reason <select value={reason} onChange={({ target }) => setReason(target.value)}>
          <option value="">any</option>
          {reasons.map(([name, n]) => <option key={name} value={name}>{name} ({whole(n)})</option>)}
          {reason && !reasons.some(([name]) => name === reason) && <option value={reason}>{reason}</option>}
        </select></label>
        <form onSubmit={(event) => {
          event.preventDefault()
          setJob(typed.trim())
        }}>
          <label className="search"><span className="hidden">Job</span><input type="search" placeholder="jobId" value={typed} onChange={({ target }) => {
            setTyped(target.value)
            if (target.value === '') setJob('')
          }} /></label>
        </form>
        <Freshness of={first} />
      </div>
      <Problem error={first.error ?? error} />
      <div className="split">
        <div className="stack">
          <Actions marked={marked} all={rows.map(({ sequence }) => sequence)} onMark={(sequences) => setChosen(new Set(sequences))} onChanged={changed} />
          <VirtualList label="Dead letters" layout="letters" items={rows} itemKey={({ sequence }) => sequence} selected={opened} onOpen={({ sequence }) => setOpen(String(sequence))} onEnd={more}
            empty={first.data ? (further ? 'Searching …' : reason || job ? 'No letter matches.' : 'There are no dead letters.') : 'Asking …'}
            columns={[
              { title: 'Mark', render: ({ sequence }) => <input type="checkbox" aria-label={`Mark letter ${sequence}`} checked={chosen.has(sequence)} onChange={({ target }) => select(sequence, target.checked)} /> },
              { title: 'Letter', number: true, render: ({ sequence }) => <a href={href('letters', { reason, job, letter: sequence })} aria-current={sequence === opened || undefined}>{whole(sequence)}</a> },
              { title: 'Refused', render: ({ at }) => <time dateTime={at}>{clock(at)}</time> },
              { title: 'Reason', render: ({ reason: why }) => <code>{why}</code> },
              { title: 'Job', render: ({ jobId }) => (jobId ? <a className="id" href={href('job', { id: jobId })}>{jobId}</a> : <span className="quiet">unknown</span>) },
              { title: 'Size', number: true, wide: true, render: ({ bodyBytes }) => bytes(bodyBytes) },
            ]} />
        </div>
        {opened === undefined ? <section className="detail quiet pad">Open a letter to see its bytes beside the reason of the refusal.</section> : <Letter key={opened} sequence={opened} onChanged={changed} />}
      </div>
    </>
  )
}

function Actions({ marked, all, onMark, onChanged }: { marked: number[]; all: number[]; onMark: (sequences: number[]) => void; onChanged: () => void }) {
  const redrive = useChange<Outcome[]>()
  const purge = useChange<number>()
  const batch = marked.slice(0, maxChange)
  const drive = (dryRun: boolean) => redrive.run(async () => {
    const { items } = await post('/letters/redrive', { sequences: batch, dryRun })
    if (!dryRun) onChanged()
    return items
  })
  return (
    <div className="actions">
      <button type="button" onClick={() => onMark(marked.length > 0 ? [] : all.slice(0, maxChange))} disabled={all.length === 0}>{marked.length > 0 ? 'Unmark' : `Mark ${whole(Math.min(all.length, maxChange))}`}</button>
      <span className="quiet">{whole(marked.length)} marked{marked.length > maxChange && `, the first ${maxChange} at once`}</span>
      <button type="button" disabled={batch.length === 0 || redrive.busy} onClick={() => drive(true)}>Try redrive</button>
      <button type="button" className="main" disabled={batch.length === 0 || redrive.busy} onClick={() => drive(false)}>Redrive</button>
      <Confirm label="Purge" disabled={batch.length === 0 || purge.busy} action={`Remove ${whole(batch.length)} ${batch.length === 1 ? 'letter' : 'letters'}`} onConfirm={() => purge.run(async () => {
        const { removed } = await post('/letters/purge', { sequences: batch })
        onChanged()
        return removed
      })}>
        This removes {batch.length === 1 ? 'the dead letter' : `${whole(batch.length)} dead letters:`} {batch.slice(0, 20).join(', ')}{batch.length > 20 && ' …'}. Their bytes cannot be restored. The audit trail keeps their sequences.
      </Confirm>
      <Problem error={redrive.error ?? purge.error} />
      {redrive.result && <Outcomes items={redrive.result} />}
      {purge.result !== undefined && <p role="status">{whole(purge.result)} removed.</p>}
    </div>
  )
}

function Outcomes({ items }: { items: readonly Outcome[] }) {
  const refused = items.filter((item) => item.refused)
  const duplicates = items.filter((item) => !item.refused && item.duplicate).length
  const good = items.length - refused.length - duplicates
  return (
    <div role="status" className="outcomes">
      <p><b>{whole(good)}</b> acceptable or stored, <b>{whole(duplicates)}</b> in the log already, <b>{whole(refused.length)}</b> refused again.</p>
      {refused.slice(0, 5).map((item) => <p key={item.sequence} className="bad">{item.sequence}: {item.refused}</p>)}
    </div>
  )
}

function Letter({ sequence, onChanged }: { sequence: number; onChanged: () => void }) {
  const letter = usePoll(`letter ${sequence}`, (signal) => get('/letter', { sequence }, signal), 30_000)
  const edit = useChange<string>()
  const [draft, setDraft] = useState<string | undefined>()
  if (letter.error?.code === 'not-found') return <section className="detail quiet pad">There is no letter {sequence}: it was redriven or purged.</section>
  if (!letter.data) return <section className="detail quiet pad">{letter.error ? <Problem error={letter.error} /> : 'Asking …'}</section>
  const head = letter.data.letter
  const raw = decode(letter.data.body)
  const shown = show(raw)
  const cut = raw.length < head.bodyBytes
  const send = () => edit.run(async () => {
    let event: never
    try {
      event = JSON.parse(draft ?? '') as never
    } catch (error) {
      throw new ApiError(0, 'console', `The text is no JSON: ${(error as Error).message}`)
    }
    const receipt = (await post('/events', event)) as { sequence: number }
    await post('/letters/purge', { sequences: [sequence] })
    onChanged()
    return `Stored as ${receipt.sequence}; the letter is removed.`
  })
  return (
    <section className="detail" aria-label={`Letter ${sequence}`}>
      <h2>Letter {whole(sequence)}</h2>
      <p className="complaint"><code>{head.reason}</code> {head.detail}</p>
      <dl className="pairs">
        <dt>Refused</dt><dd>{clock(head.at)}</dd>
        <dt>Job</dt><dd>{head.jobId ? <a className="id" href={href('job', { id: head.jobId })}>{head.jobId}</a> : 'unknown'}</dd>
        <dt>Bytes</dt><dd>{whole(head.bodyBytes)}{cut && `, of which the letter keeps ${whole(raw.length)}`}</dd>
      </dl>
      {draft === undefined ? (
        <>
          {shown.form === 'json' ? <Json label="Body" value={JSON.parse(shown.text)} /> : <pre className="json" tabIndex={0} role="region" aria-label="Body">{shown.text}</pre>}
          {shown.form !== 'bytes' && !cut && <button type="button" onClick={() => setDraft(shown.text)}>Edit and publish …</button>}
        </>
      ) : (
        <>
          <label className="draft">The event to publish instead<textarea value={draft} spellCheck={false} rows={16} onChange={({ target }) => setDraft(target.value)} /></label>
          <div className="actions">
            <button type="button" className="main" disabled={edit.busy} onClick={send}>Publish, and remove the letter</button>
            <button type="button" onClick={() => setDraft(undefined)}>Discard the changes</button>
          </div>
        </>
      )}
      <Problem error={edit.error} />
      {edit.result && <p role="status">{edit.result}</p>}
    </section>
  )
}
