/** One message of an event stream. */
export interface Message {
  event: string
  data: string
}

/**
 * Takes the gateway's event stream apart as it arrives:
 *
 *     event: novel.job-status ⏎ id: 40 ⏎ data: {"jobId":…} ⏎ ⏎
 *
 * Comments are blocks without an event. `id` is not needed, it is in the payload.
 */
export class EventStreamParser {
  #rest = ''

  /** The messages that the text completes. */
  push(text: string): Message[] {
    const blocks = (this.#rest + text).split('\n\n')
    this.#rest = blocks.pop() as string
    return blocks.flatMap((block) => {
      const [, event] = /^event: (.*)/m.exec(block) ?? []
      const [, data] = /^data: (.*)/m.exec(block) ?? []
      return event && data ? { event, data } : []
    })
  }
}
