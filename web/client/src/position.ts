/**
 * The position of a subscriber in the log. A sequence is valid only within its epoch: a log
 * that was restored or re-created has another epoch. As one string, which `since`
 * accepts, a position is `EPOCH:SEQUENCE`.
 */
export interface Position {
  sequence?: number | undefined
  /** Absent until the gateway has sent it. A sequence without an epoch belongs to the present log. */
  epoch?: string | undefined
}

/** The position as one string; undefined without a sequence. */
export function formatPosition({ sequence, epoch }: Position): string | undefined {
  if (sequence === undefined) return undefined
  return epoch ? `${epoch}:${sequence}` : `${sequence}`
}

/** The position in a string; undefined if the string is not a position. */
export function parsePosition(text: string): Position | undefined {
  const [, epoch, digits] = /^(?:([^:]+):)?(\d+)$/.exec(text) ?? []
  return digits === undefined ? undefined : { sequence: Number(digits), ...(epoch !== undefined && { epoch }) }
}
