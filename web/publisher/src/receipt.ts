/** Tells a producer that its event is durably in the log. */
export interface Receipt {
  /** The id of the event. */
  id: string
  jobId: string
  /** Where the event is in the log, 1 or more. */
  sequence: number
  /** The log already had this id: the event is stored once, at `sequence`. */
  duplicate: boolean
}

/** Reads one message of the receipts channel; undefined for anything but a receipt. */
export function parseReceipt(text: string): Receipt | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  return isReceipt(value) ? value : undefined
}

/** Says whether a decoded value has the four fields of a receipt. */
export function isReceipt(value: unknown): value is Receipt {
  if (typeof value !== 'object' || value === null) return false
  const { id, jobId, sequence, duplicate } = value as Record<string, unknown>
  return (
    typeof id === 'string' &&
    id !== '' &&
    typeof jobId === 'string' &&
    jobId !== '' &&
    typeof sequence === 'number' &&
    Number.isSafeInteger(sequence) &&
    sequence >= 1 &&
    typeof duplicate === 'boolean'
  )
}
