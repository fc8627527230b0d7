import { useCallback, useId, useState } from 'react'
import { post } from '../api/client.js'
import { Confirm } from '../confirm.js'
import { clock, whole } from '../format.js'
import { useParam } from '../route.js'
import { Problem, useChange } from '../ui.js'
import { type Piece, Progress } from './progress.js'

/** What an erasure answers, see erasure.Result. */
interface Result {
  done?: { removed?: Removed }[] | null
  found?: Removed
  purge?: boolean
  interrupted?: boolean
  before?: { at?: string }
  workersDocuments: number
  mentionedIn?: number[]
  rebuilding: boolean
}
interface Removed {
  events: number
  deadLetters: number
  documents: number
  heads: number
}

/** Removes a job for good, after a dry run has counted what there is of it. */
export function Erase({ jobId }: { jobId: string }) {
  const [reason, setReason] = useState('')
  const [typed, setTyped] = useState('')
  const [trial, setTrial] = useState<{ id: string; work?: Piece } | undefined>()
  const [running, setRunning] = useParam('erase')
  const change = useChange<unknown>()
  const form = useId()
  const noted = useCallback((work: Piece) => setTrial((before) => (before?.id === work.id ? { ...before, work } : before)), [])
  const found = trial?.work?.state === 'done' ? (trial.work.result as Result).found : undefined
  const request = { jobId, reason: reason.trim() }
  return (
    <section className="detail" aria-label="Erase">
      <h2>Erase</h2>
      <p className="quiet">Removes the events, the dead letters and the documents of this job for good. Followers get a gap. The audit trail keeps the job’s name and the reason, so the reason should name no person.</p>
      <form id={form} className="fields" onSubmit={(event) => {
        event.preventDefault()
        change.run(async () => {
          const { id } = await post('/erasures', { ...request, dryRun: true })
          setTrial({ id })
        })
      }}>
        <label>Reason <input required value={reason} onChange={({ target: { value } }) => setReason(value)} /></label>
      </form>
      <div className="buttons">
        <button type="submit" form={form} className="main" disabled={change.busy || !request.reason}>Dry run</button>
        <Confirm label="Erase" disabled={!found || !request.reason || change.busy} action="Erase the job for good" ready={typed === jobId} onAsk={() => setTyped('')}
          fields={<label>Type the job’s name to confirm <input className="mono" value={typed} autoComplete="off" spellCheck={false} onChange={({ target: { value } }) => setTyped(value)} /></label>}
          onConfirm={() => change.run(async () => {
            const { id } = await post('/erasures', request)
            setTrial(undefined)
            setRunning(id)
          })}>
          This removes <Counts of={found} /> of <b className="id">{jobId}</b>. None of it can be restored.
        </Confirm>
        {!found && <span className="quiet">A dry run comes first.</span>}
      </div>
      <Problem error={change.error} />
      {trial && <Progress key={`dry ${trial.id}`} id={trial.id} title="Dry run" onWork={noted}>{(result) => <Outcome of={result as Result} />}</Progress>}
      {running && <Progress key={running} id={running} title="Erasure">{(result) => <Outcome of={result as Result} />}</Progress>}
    </section>
  )
}

function Counts({ of }: { of: Removed | undefined }) {
  if (!of) return <>nothing</>
  return <>{whole(of.events)} {of.events === 1 ? 'event' : 'events'}, {whole(of.deadLetters)} dead {of.deadLetters === 1 ? 'letter' : 'letters'} and {whole(of.documents)} {of.documents === 1 ? 'document' : 'documents'}</>
}

function Outcome({ of: { done, found, purge, interrupted, before, workersDocuments, mentionedIn, rebuilding } }: { of: Result }) {
  return (
    <ul>
      {found && <li>Found: <Counts of={found} />.{purge && ' That is too much to overwrite each on disk: they are purged, and their bytes stay on disk until it is written again.'}</li>}
      {done?.map(({ removed }, i) => <li key={i}><Counts of={removed} /> removed.</li>)}
      {interrupted && <li className="warn">An erasure of the job was interrupted, and is finished first.</li>}
      {before && <li>Nothing was left: the job was erased {clock(before.at)}.</li>}
      {workersDocuments > 0 && <li className="warn">{whole(workersDocuments)} documents of workers in novel_jobs stay: the workers own them.</li>}
      {mentionedIn && mentionedIn.length > 0 && <li className="warn">Dead letters that cannot be read hold the job’s name: {mentionedIn.join(', ')}.</li>}
      {rebuilding && <li className="warn">A read model is being rebuilt. Erase the job again after that.</li>}
    </ul>
  )
}
