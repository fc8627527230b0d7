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
     * What sort of thing happened.
     */
    type: string
    /**
     * When it happened, as the producer writes times.
     */
    occurredAt: string
    [k: string]: unknown
  }
  /**
   * The event's position in the durable log: ascending per job, not consecutive. Absent for an event that is not in the log.
   */
  sequence?: number
  /**
   * The producer's id of the event, where it has one.
   */
  id?: string
  /**
   * Present when an operator shows the event once more: where the log has it. Such an event has no sequence and no place in the order of the job.
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
     * What sort of thing happened.
     */
    type: string
    /**
     * When it happened, as the producer writes times.
     */
    occurredAt: string
    [k: string]: unknown
  }
  /**
   * The event's position in the durable log: ascending per job, not consecutive. Absent for an event that is not in the log.
   */
  sequence?: number
  /**
   * The producer's id of the event, where it has one.
   */
  id?: string
  /**
   * Present when an operator shows the event once more: where the log has it. Such an event has no sequence and no place in the order of the job.
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
 * Payload of novel.job-status. Without a sequence it stands in for a history that is not there, and says the job's last known state.
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
   * What a client needs to show the job as it is now; null when there is none.
   */
  snapshot: {
    [k: string]: unknown
  } | null
  /**
   * The event's position in the durable log: ascending per job, not consecutive. Absent for an event that is not in the log.
   */
  sequence?: number
  /**
   * The producer's id of the event, where it has one.
   */
  id?: string
  /**
   * Present when an operator shows the event once more: where the log has it. Such an event has no sequence and no place in the order of the job.
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
 * Payload of novel.caught-up, the end of a catch-up: the client has every event of the job in (from, to], and what follows is live.
 */
export interface CaughtUp {
  /**
   * The job, at most 256 bytes in UTF-8.
   */
  jobId: string
  /**
   * The sequence after which the replay began.
   */
  from: number
  /**
   * The sequence with which the replay ended.
   */
  to: number
  /**
   * How many events were sent.
   */
  replayed: number
  /**
   * Where the replay came from: the furthest of the sources that were used.
   */
  source: 'none' | 'memory' | 'mongodb' | 'log' | 'aggregate'
  /**
   * The end of the replay as EPOCH:SEQUENCE, from where to resume after a break.
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
   * The sequence from which the client asked to go on.
   */
  requested: number
  /**
   * The sequence of the oldest event that is still there.
   */
  firstAvailable: number
  /**
   * retention: the log's limits have removed the range. epoch-changed: the sequence belongs to an earlier epoch of the log. erased: the events up to firstAvailable were erased for good; a client forgets what it has of them.
   */
  reason: 'retention' | 'epoch-changed' | 'erased'
  /**
   * The epoch that firstAvailable belongs to.
   */
  epoch?: string
  [k: string]: unknown
}

/**
 * Payload of novel.error: a request was refused. Message and code are fixed for each other; the figures are there where they apply.
 */
export interface ErrorPayload {
  /**
   * For people; its text is fixed.
   */
  message: string
  /**
   * For programs.
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
   * The most that is allowed of what the code speaks of.
   */
  limit?: number
  /**
   * How many there are.
   */
  current?: number
  /**
   * When a retry makes sense, in milliseconds.
   */
  retryAfterMs?: number
  [k: string]: unknown
}

/**
 * Argument of the client's event subscribe. It is answered by novel.subscribed, then the catch-up, then live events; or by novel.error.
 */
export interface SubscribeRequest {
  /**
   * The job, at most 256 bytes in UTF-8.
   */
  jobId: string
  /**
   * The last position the client has seen, as EPOCH:SEQUENCE: everything after it is replayed. Without it, the newest stored events are. A bare sequence, as a number or in a string, counts in the log's present epoch only.
   */
  since?: number | string
  /**
   * The epoch of a bare sequence in since.
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
   * When the gateway took the subscription.
   */
  subscribedAt: string
  /**
   * The epoch of the log, which the sequences of the events that follow belong to, until a novel.gap names another.
   */
  epoch?: string
  [k: string]: unknown
}

/**
 * Argument of the client's event unsubscribe. It is answered by novel.unsubscribed or novel.error.
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
