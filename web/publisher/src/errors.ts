/** Why a gateway, or the check before it, does not take an event. */
export type RejectionReason =
  | 'invalid-json'
  | 'schema-violation'
  | 'unsupported-version'
  | 'unknown-kind'
  | 'too-large'
  | 'id-conflict'
  /** No gateway confirmed the event within `giveUpAfterMs`: it may be stored or not. */
  | 'unconfirmed'

/**
 * The event can never be stored, or was given up. Publishing it again unchanged
 * does not help, but for the reason `unconfirmed`.
 */
export class RejectedError extends Error {
  override readonly name = 'RejectedError'

  constructor(
    /** Why, in the contract's terms. */
    readonly reason: RejectionReason,
    detail: string,
  ) {
    super(`${reason}: ${detail}`)
  }
}

/**
 * The outbox is at its bound, and the event was not taken in. Nothing was sent:
 * wait for `room()`, or slow down, and publish it again.
 */
export class OutboxFullError extends Error {
  override readonly name = 'OutboxFullError'

  constructor(
    /** Events in the outbox when this one came. */
    readonly events: number,
    /** Their bytes. */
    readonly bytes: number,
    limits: { maxEvents: number; maxBytes: number },
  ) {
    super(
      `the outbox is full: ${events} of ${limits.maxEvents} events, ${bytes} of ${limits.maxBytes} bytes wait for a receipt`,
    )
  }
}

/**
 * The publisher is closed. An event that was taken in before is unconfirmed: it
 * may be stored or not, and with a journal the next publisher sends it again.
 */
export class ClosedError extends Error {
  override readonly name = 'ClosedError'

  constructor(message = 'the publisher is closed') {
    super(message)
  }
}

/**
 * The journal cannot be opened, read or written; `cause` has the reason. An
 * event that could not be written was not taken in, and nothing of it was sent.
 */
export class JournalError extends Error {
  override readonly name = 'JournalError'
}
