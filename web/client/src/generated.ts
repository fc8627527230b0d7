/* Written by scripts/generate.mjs from messaging/schemas. Change those, not this file. */

/**
 * Payload of novel.generation-event.
 */
export interface GenerationPayload {
  /**
   * The job, at most 256 bytes in UTF-8.
   */
  jobId: string
  /**
   * RFC 3339, as the producer wrote it, or when the gateway received the event.
   */
  emittedAt: string
  /**
   * The event as it was published.
   */
  event: {
    /**
     * The type of the event.
     */
    type: string
    /**
     * When it happened, in the format of the producer.
     */
    occurredAt: string
    [k: string]: unknown
  }
  /**
   * The event's position in the durable log. Positions ascend in each job and are not consecutive. Absent for an event that is not in the log.
   */
  sequence?: number
  /**
   * The producer's id of the event, if it has one.
   */
  id?: string
  /**
   * W3C trace context of the event, where it has one and the client asked for traces.
   */
  traceparent?: string
  /**
   * Present if an operator shows the event again: the event's position in the log. Such an event has no sequence and no place in the order of the job.
   */
  replay?: {
    /**
     * The job that the event belongs to.
     */
    jobId: string
    /**
     * The event's position in the log.
     */
    sequence: number
    /**
     * The epoch that this position belongs to.
     */
    epoch: string
    /**
     * The same for all events of one replay.
     */
    run: string
    [k: string]: unknown
  }
  [k: string]: unknown
}

/**
 * Payload of novel.domain-event.
 */
export interface DomainPayload {
  /**
   * The job, at most 256 bytes in UTF-8.
   */
  jobId: string
  /**
   * RFC 3339, as the producer wrote it, or when the gateway received the event.
   */
  emittedAt: string
  /**
   * The event as it was published.
   */
  event: {
    /**
     * The type of the event.
     */
    type: string
    /**
     * When it happened, in the format of the producer.
     */
    occurredAt: string
    [k: string]: unknown
  }
  /**
   * The event's position in the durable log. Positions ascend in each job and are not consecutive. Absent for an event that is not in the log.
   */
  sequence?: number
  /**
   * The producer's id of the event, if it has one.
   */
  id?: string
  /**
   * W3C trace context of the event, where it has one and the client asked for traces.
   */
  traceparent?: string
  /**
   * Present if an operator shows the event again: the event's position in the log. Such an event has no sequence and no place in the order of the job.
   */
  replay?: {
    /**
     * The job that the event belongs to.
     */
    jobId: string
    /**
     * The event's position in the log.
     */
    sequence: number
    /**
     * The epoch that this position belongs to.
     */
    epoch: string
    /**
     * The same for all events of one replay.
     */
    run: string
    [k: string]: unknown
  }
  [k: string]: unknown
}

/**
 * Payload of novel.job-status. Without a sequence, it has the job's last known state in place of a history that does not exist.
 */
export interface JobStatusPayload {
  /**
   * The job, at most 256 bytes in UTF-8.
   */
  jobId: string
  /**
   * RFC 3339, as the producer wrote it, or when the gateway received the event.
   */
  emittedAt: string
  /**
   * The job's state.
   */
  status: 'queued' | 'running' | 'completed' | 'failed'
  /**
   * What a client needs to show the current state of the job; null if there is none.
   */
  snapshot: {
    [k: string]: unknown
  } | null
  /**
   * The event's position in the durable log. Positions ascend in each job and are not consecutive. Absent for an event that is not in the log.
   */
  sequence?: number
  /**
   * The producer's id of the event, if it has one.
   */
  id?: string
  /**
   * W3C trace context of the event, where it has one and the client asked for traces.
   */
  traceparent?: string
  /**
   * Present if an operator shows the event again: the event's position in the log. Such an event has no sequence and no place in the order of the job.
   */
  replay?: {
    /**
     * The job that the event belongs to.
     */
    jobId: string
    /**
     * The event's position in the log.
     */
    sequence: number
    /**
     * The epoch that this position belongs to.
     */
    epoch: string
    /**
     * The same for all events of one replay.
     */
    run: string
    [k: string]: unknown
  }
  [k: string]: unknown
}

/**
 * Payload of novel.caught-up, the end of a catch-up: the client has every event of the job in (from, to], and the events that follow are live.
 */
export interface CaughtUp {
  /**
   * The job, at most 256 bytes in UTF-8.
   */
  jobId: string
  /**
   * The sequence after which the catch-up began.
   */
  from: number
  /**
   * The sequence of the last event of the catch-up.
   */
  to: number
  /**
   * How many events the catch-up sent.
   */
  replayed: number
  /**
   * The source of the events: the most distant source that was used.
   */
  source: 'none' | 'memory' | 'mongodb' | 'log' | 'aggregate'
  /**
   * The end of the catch-up as EPOCH:SEQUENCE, with which the client resumes after a break.
   */
  position?: string
  [k: string]: unknown
}

/**
 * Payload of novel.gap: the events between requested and firstAvailable are no longer available.
 */
export interface Gap {
  /**
   * The job, at most 256 bytes in UTF-8.
   */
  jobId: string
  /**
   * The sequence after which the client asked to resume.
   */
  requested: number
  /**
   * The sequence of the oldest event that is still available.
   */
  firstAvailable: number
  /**
   * retention: the log's limits have removed the range. epoch-changed: the sequence belongs to an earlier epoch of the log. erased: the events before firstAvailable were erased permanently; a client deletes what it has of them.
   */
  reason: 'retention' | 'epoch-changed' | 'erased'
  /**
   * The epoch that firstAvailable belongs to.
   */
  epoch?: string
  [k: string]: unknown
}

/**
 * Payload of novel.error: a request was refused. Each code has a fixed message. limit, current and retryAfterMs are present where they apply.
 */
export interface ErrorPayload {
  /**
   * A fixed text for people.
   */
  message: string
  /**
   * A fixed code for programs.
   */
  code:
    | 'ORIGIN_NOT_ALLOWED'
    | 'MAX_CONNECTIONS_EXCEEDED'
    | 'ORIGIN_CONNECTIONS_EXCEEDED'
    | 'SUBSCRIPTION_LIMIT_REACHED'
    | 'IDLE_TIMEOUT'
    | 'JOB_ID_REQUIRED'
    | 'JOB_ID_INVALID'
    | 'SINCE_INVALID'
    | 'ADDRESS_CONNECTIONS_EXCEEDED'
    | 'SUBJECT_CONNECTIONS_EXCEEDED'
    | 'CONNECTION_RATE_EXCEEDED'
    | 'MAX_REQUESTS_EXCEEDED'
    | 'CLIENT_REQUESTS_EXCEEDED'
    | 'REQUEST_RATE_EXCEEDED'
    | 'MESSAGE_RATE_EXCEEDED'
    | 'MESSAGE_TOO_LARGE'
    | 'SUBSCRIPTION_RATE_EXCEEDED'
    | 'TOKEN_REQUIRED'
    | 'TOKEN_INVALID'
    | 'TOKEN_EXPIRED'
    | 'TOKEN_EXPIRING'
    | 'JOB_FORBIDDEN'
    | 'SCOPE_REQUIRED'
    | 'UNKNOWN_EVENT'
    | 'INTERNAL'
  /**
   * The job that the request named.
   */
  jobId?: string
  /**
   * The limit that was reached.
   */
  limit?: number
  /**
   * The current number, which the limit bounds.
   */
  current?: number
  /**
   * After how many milliseconds a retry may succeed.
   */
  retryAfterMs?: number
  [k: string]: unknown
}

/**
 * Argument of the client's event subscribe. The answer is novel.subscribed, then the catch-up, then live events; or novel.error.
 */
export interface SubscribeRequest {
  /**
   * The job, at most 256 bytes in UTF-8.
   */
  jobId: string
  /**
   * The position of the last event that the client has received, as EPOCH:SEQUENCE: the client receives all events after it. Without it, the client receives the newest stored events. A sequence without an epoch, as a number or a string, is valid only in the log's current epoch.
   */
  since?: number | string
  /**
   * The epoch of a sequence in since that has none.
   */
  epoch?: string
  [k: string]: unknown
}

/**
 * Payload of novel.subscribed: the socket follows the job, and its catch-up begins.
 */
export interface Subscribed {
  /**
   * The job, at most 256 bytes in UTF-8.
   */
  jobId: string
  /**
   * When the gateway accepted the subscription.
   */
  subscribedAt: string
  /**
   * The epoch of the log. The sequences of the events that follow belong to it, until a novel.gap names another epoch.
   */
  epoch?: string
  [k: string]: unknown
}

/**
 * Argument of the client's event unsubscribe. The answer is novel.unsubscribed or novel.error.
 */
export interface UnsubscribeRequest {
  /**
   * The job, at most 256 bytes in UTF-8.
   */
  jobId: string
  [k: string]: unknown
}

/**
 * Payload of novel.unsubscribed: no further event of the job follows.
 */
export interface Unsubscribed {
  /**
   * The job, at most 256 bytes in UTF-8.
   */
  jobId: string
  /**
   * When the gateway ended the subscription.
   */
  unsubscribedAt: string
  [k: string]: unknown
}

/**
 * Payload of pong, the answer to the client's event ping.
 */
export interface Pong {
  /**
   * The gateway's clock in milliseconds since the Unix epoch.
   */
  timestamp: number
  [k: string]: unknown
}
