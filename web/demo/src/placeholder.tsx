import { useDesk } from './desk.js'
import { isCarried } from './feed.js'
import type { View } from './timeline.js'
import { useCountdown } from './usecountdown.js'
import { wordingOf } from './wording.js'

/** The placeholder for the events of a job, while there are none to show. */
export function Placeholder({ view, failed }: { view: View; failed: boolean }) {
  const { client } = useDesk()
  const { status, known } = view
  const { state, reason } = status
  const left = useCountdown(reason?.retryAt)

  if (known && !(state === 'refused' && !isServed(view))) {
    return (
      <div className="placeholder">
        <h3>Nothing has happened yet</h3>
        <p>The first event appears here by itself.</p>
      </div>
    )
  }
  if (reason && (failed || state === 'refused')) {
    const { title, text } = wordingOf(reason)
    return (
      <div className="placeholder" data-tone="problem">
        <h3>{title}</h3>
        <p>{text}</p>
        <p className="again">
          <button type="button" onClick={() => client.retry()}>Try now</button> <span aria-hidden="true">{left}</span>
        </p>
      </div>
    )
  }
  return (
    <div className="placeholder skeleton" aria-busy={!isCarried(status)}>
      <p className="unseen">Loading what has happened.</p>
      {[0, 1, 2, 3].map((line) => <span key={line} aria-hidden="true" />)}
    </div>
  )
}

/** Whether the job itself was not refused, even if the connection was. */
function isServed({ status: { reason } }: View): boolean {
  return reason?.code !== 'JOB_ID_INVALID' && reason?.code !== 'JOB_FORBIDDEN'
}
