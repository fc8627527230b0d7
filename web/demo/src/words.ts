import type { JobEvent, JobStatusEvent } from '@letswriteabook/realtime-client'

type JobStatus = JobStatusEvent['status']

const statuses: Record<JobStatus, string> = { queued: 'Queued', running: 'Running', completed: 'Done', failed: 'Failed' }

/** The word for a job's status. */
export function statusWord(status: JobStatus | undefined): string {
  return status === undefined ? 'No status' : statuses[status] ?? status
}

/** The fields of an event that are shown as its headline or sentence, and not as facts. */
const framing = new Set(['type', 'occurredAt', 'excerpt', 'text', 'reason'])

/** The text for an event: a headline, perhaps a sentence, and small facts. */
export interface Telling {
  headline: string
  sentence?: string
  facts: [name: string, value: string][]
}

/** Returns the text for an event. An event without words of its own is described by its type. */
export function tell(event: JobEvent): Telling {
  const fields = fieldsOf(event)
  const sentence = ['excerpt', 'text', 'reason'].map((name) => fields[name]).find((value) => typeof value === 'string')
  return { headline: headline(event, fields), facts: facts(fields), ...(sentence !== undefined && { sentence }) }
}

/** The small facts of a snapshot or an event: its numbers, words and flags. */
export function facts(fields: Record<string, unknown>): [string, string][] {
  return Object.entries(fields)
    .filter(([name, value]) => !framing.has(name) && ['number', 'string', 'boolean'].includes(typeof value))
    .map(([name, value]) => [spaced(name), String(value)])
}

function fieldsOf(event: JobEvent): Record<string, unknown> {
  switch (event.kind) {
    case 'job-status': return event.snapshot ?? {}
    case 'generation':
    case 'domain': return event.event
    case 'other': {
      const { kind: _, name: __, jobId: ___, emittedAt: ____, sequence: _____, id: ______, ...rest } = event
      return rest
    }
  }
}

function headline(event: JobEvent, fields: Record<string, unknown>): string {
  if (event.kind === 'job-status') return statusWord(event.status)
  if (event.kind === 'other') return sentenceCase(event.name)
  if (event.event.type === 'chapter-drafted' && typeof fields['chapter'] === 'number') return `Chapter ${fields['chapter']} drafted`
  return sentenceCase(event.event.type)
}

function spaced(name: string): string {
  return name.replaceAll(/([a-z])([A-Z])/g, '$1 $2').replaceAll(/[-._]+/g, ' ').toLowerCase()
}

function sentenceCase(name: string): string {
  const words = spaced(name)
  return words.charAt(0).toUpperCase() + words.slice(1)
}

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' })
const day = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' })

/** Formats a time: a time of today without the day, any other with its day. */
export function timeWord(at: string, now = new Date()): string {
  const time = new Date(at)
  if (Number.isNaN(time.getTime())) return ''
  return (time.toDateString() === now.toDateString() ? clock : day).format(time)
}
