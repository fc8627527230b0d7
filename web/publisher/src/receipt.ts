import { createHmac, timingSafeEqual } from 'node:crypto'
import type { RejectionReason } from './errors.js'

/** Confirms to a producer that its event is durably in the log. */
export interface Receipt {
  /** The id of the event. */
  id: string
  jobId: string
  /** The sequence of the event in the log, 1 or more. */
  sequence: number
  /** The log already had this id: the event is stored once, at `sequence`. */
  duplicate: boolean
}

/** Informs a producer that the log will never have its event. */
export interface Refusal {
  id: string
  jobId: string
  reason: RejectionReason
}

/** The codes with which a gateway refuses an event on the receipts channel. */
const reasons = new Map<unknown, RejectionReason>([
  ['ID_CONFLICT', 'id-conflict'],
  ['TOO_LARGE', 'too-large'],
])

/**
 * Reads one message of the receipts channel; undefined for anything but a receipt or
 * a refusal, and for one that is not signed with the secret, if there is one.
 */
export function parseReceipt(text: string, secret: string): Receipt | Refusal | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const message = value as Record<string, unknown>
  if (secret !== '' && !isSigned(message, secret)) return undefined
  const { id, jobId, error } = message
  if (error === undefined) return isReceipt(value) ? value : undefined
  const reason = reasons.get(error)
  return isText(id) && isText(jobId) && reason ? { id, jobId, reason } : undefined
}

/** Reports whether a decoded value has the four fields of a receipt. */
export function isReceipt(value: unknown): value is Receipt {
  if (typeof value !== 'object' || value === null) return false
  const { id, jobId, sequence, duplicate } = value as Record<string, unknown>
  return (
    isText(id) &&
    isText(jobId) &&
    typeof sequence === 'number' &&
    Number.isSafeInteger(sequence) &&
    sequence >= 1 &&
    typeof duplicate === 'boolean'
  )
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

/**
 * Verifies the mac of a message: the HMAC-SHA256 of five netstrings, which are id,
 * jobId, sequence, duplicate and error; a field that the message does not have is empty.
 */
function isSigned({ id, jobId, sequence, duplicate, error, mac }: Record<string, unknown>, secret: string): boolean {
  if (typeof mac !== 'string') return false
  const digest = createHmac('sha256', secret)
  for (const value of [id, jobId, sequence, duplicate, error]) {
    const text = value === undefined ? '' : String(value)
    digest.update(`${Buffer.byteLength(text)}:${text},`)
  }
  const wanted = Buffer.from(digest.digest('hex'))
  const given = Buffer.from(mac)
  return given.length === wanted.length && timingSafeEqual(given, wanted)
}
