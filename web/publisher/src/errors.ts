/** Why a gateway, or the publisher's own check, refuses an event. */
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
 * helps only for the reason `unconfirmed`.
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
 * The outbox is at its bound, and the event was not accepted or sent. Wait for
 * `room()`, or slow down, and publish it again.
 */
export class OutboxFullError extends Error {
  override readonly name = 'OutboxFullError'

  constructor(
    /** Events that were in the outbox. */
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
 * The publisher is closed. An event that was accepted before is unconfirmed: it
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
 * event that could not be written was not accepted or sent.
 */
export class JournalError extends Error {
  override readonly name = 'JournalError'
}
