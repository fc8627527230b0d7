import { createParser, type ParseError } from 'eventsource-parser'

/** One message of an event stream. */
export interface Message {
  event: string
  data: string
  /** The position of the event, where it has one. */
  id?: string
}

/** Characters that one message may take; the gateway bounds an event at 8 MiB. */
const maxMessageLength = 16 << 20

/** Takes an event stream apart as it arrives, by the rules of the WHATWG HTML standard, section 9.2.6. */
export class EventStreamParser {
  /** The last pause before another connection that the server asked for, in milliseconds. */
  retryMs: number | undefined
  /** Whether there has been a comment: a stream that serves a job begins with one, and a refusal has none. */
  commented = false
  #messages: Message[] = []
  #error: ParseError | undefined
  readonly #parser = createParser({
    maxBufferSize: maxMessageLength,
    onEvent: ({ event = 'message', data, id }) => this.#messages.push({ event, data, ...(id && { id }) }),
    onRetry: (ms) => {
      this.retryMs = ms
    },
    onComment: () => {
      this.commented = true
    },
    onError: (error) => {
      if (error.type === 'max-buffer-size-exceeded') this.#error = error
    },
  })

  /**
   * The messages that the text completes.
   * @throws ParseError when one message exceeds the bound.
   */
  push(text: string): Message[] {
    this.#parser.feed(text)
    if (this.#error) throw this.#error
    return this.#messages.splice(0)
  }
}
