/** One message of an event stream. */
export interface Message {
  event: string
  data: string
}

/**
 * Takes an event stream apart as it arrives (HTML Living Standard, section 9.2.6).
 * Comments, `id` and `retry` are passed over: positions are in the payloads here.
 */
export class EventStreamParser {
  #rest = ''
  #event = ''
  #data: string[] = []

  /** The messages that the text completes. */
  push(text: string): Message[] {
    const messages: Message[] = []
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/)
    this.#rest = lines.pop() as string
    for (const line of lines) {
      if (line === '') {
        if (this.#data.length > 0) messages.push({ event: this.#event || 'message', data: this.#data.join('\n') })
        this.#event = ''
        this.#data = []
        continue
      }
      const [, field, value = ''] = /^([^:]*):? ?(.*)$/.exec(line) ?? []
      if (field === 'event') this.#event = value
      else if (field === 'data') this.#data.push(value)
    }
    return messages
  }
}
