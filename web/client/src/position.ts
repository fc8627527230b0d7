/**
 * Where a subscriber is in the log. A sequence counts within its epoch only: a log
 * that was restored or created again has another one. In one string, which is what
 * `since` takes, it is `EPOCH:SEQUENCE`.
 */
export interface Position {
  sequence?: number | undefined
  /** Absent while the gateway has not said it. A sequence without it is taken as one of the present log. */
  epoch?: string | undefined
}

/** The position in one string; undefined without a sequence. */
export function formatPosition({ sequence, epoch }: Position): string | undefined {
  if (sequence === undefined) return undefined
  return epoch ? `${epoch}:${sequence}` : `${sequence}`
}

/** The position that a string has; undefined for a string that is none. */
export function parsePosition(text: string): Position | undefined {
  const [, epoch, digits] = /^(?:([^:]+):)?(\d+)$/.exec(text) ?? []
  return digits === undefined ? undefined : { sequence: Number(digits), ...(epoch !== undefined && { epoch }) }
}
