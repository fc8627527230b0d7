import type { JobStatusEvent } from '@letswriteabook/realtime-client'
import { statusWord } from './words.js'

/** The state of a job, in a word and a colour. */
export function StatusBadge({ status }: { status: JobStatusEvent['status'] | undefined }) {
  return <span className="status" data-status={status ?? 'unknown'}>{statusWord(status)}</span>
}
