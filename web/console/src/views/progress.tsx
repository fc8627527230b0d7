import { type ReactNode, useEffect, useState } from 'react'
import { type Answer, get, post } from '../api/client.js'
import { usePoll } from '../api/poll.js'
import { clock, percent, whole } from '../format.js'
import { Freshness, Problem, useChange } from '../ui.js'

export type Piece = Answer<'/work'>['items'][number]

/** One piece of long work: how far it is, how to cancel it, and what came of it. */
export function Progress({ id, title, onWork, children }: { id: string; title: string; onWork?: (work: Piece) => void; children?: (result: unknown) => ReactNode }) {
  const [ended, setEnded] = useState(false)
  const polled = usePoll(`work ${id}`, (signal) => get('/work/one', { id }, signal), ended ? 30_000 : 500)
  const cancel = useChange<unknown>()
  const work = polled.data
  useEffect(() => {
    if (!work) return
    setEnded(work.state !== 'running')
    onWork?.(work)
  }, [work, onWork])
  if (!work) return <>{polled.error ? <Problem error={polled.error} /> : <p className="quiet">Asking …</p>}</>
  const running = work.state === 'running'
  return (
    <div className="progress" role="group" aria-label={title}>
      <p>
        <b>{title}</b> <WorkState of={work} /> {work.endedAt && <span className="quiet">{clock(work.endedAt)}</span>} {running && <Freshness of={polled} short />}
      </p>
      {running && (
        <div className="buttons">
          <progress aria-label="Done" {...(work.total > 0 ? { value: work.done, max: work.total } : {})} />
          <span className="number">{work.total > 0 ? `${whole(work.done)} of ${whole(work.total)}, ${percent((100 * work.done) / work.total)}` : whole(work.done)}</span>
          <button type="button" disabled={work.cancelling || cancel.busy} onClick={() => cancel.run(async () => {
            await post('/work/cancel', { id })
            polled.refresh()
          })}>{work.cancelling ? 'Cancelling …' : 'Cancel'}</button>
        </div>
      )}
      <Problem error={polled.error ?? cancel.error} />
      {work.result != null && children?.(work.result)}
    </div>
  )
}

/** How work stands, with what it does now or why it failed. */
export function WorkState({ of: { state, step, error } }: { of: Pick<Piece, 'state' | 'step' | 'error'> }) {
  return <span className={state === 'failed' || state === 'interrupted' ? 'bad' : ''}>{state}{step && state === 'running' ? `: ${step}` : ''}{error && `: ${error}`}</span>
}
