/** The protocol version that the constructors fill in. */
export const protocolVersion = 1

/** The Redis channel that carries one envelope a message, from workers to gateways. */
export const eventsChannel = 'novel.realtime.events'

/** The Redis channel that carries one {@link Receipt} a message, from gateways to workers. */
export const receiptsChannel = 'novel.realtime.receipts'

/** The body of an event. Further fields are allowed and reach the client unchanged. */
export interface EventBody {
  /** The type of the event, chosen by the producer; not empty. */
  type: string
  /** The time of the event, in the producer's format; not empty. */
  occurredAt: string
  [field: string]: unknown
}

/** The state of a job. */
export type Status = 'queued' | 'running' | 'completed' | 'failed'

/** Every {@link Status}. */
export const statuses: readonly Status[] = ['queued', 'running', 'completed', 'failed']

/** The fields of every event. Fields that no schema names are kept. */
export interface EnvelopeBase {
  /** Absent means 1. */
  version?: number
  /** The job whose subscribers receive the event: 1 to 256 bytes of UTF-8 without control characters. */
  jobId: string
  /**
   * The idempotency key, at most 128 bytes of UTF-8: the same id is stored once.
   * The publisher fills it in when it is absent or empty.
   */
  id?: string
  /** RFC 3339. When it is absent, the gateway stamps the time at which it received the event. */
  emittedAt?: string
  /** W3C trace context; one that is malformed is ignored by the gateway. */
  traceparent?: string
  [field: string]: unknown
}

/** Something that happened while text was generated. */
export interface GenerationEnvelope extends EnvelopeBase {
  kind: 'generation'
  event: EventBody
}

/** Something that happened to the job itself, in the terms of the product. */
export interface DomainEnvelope extends EnvelopeBase {
  kind: 'domain'
  event: EventBody
}

/** The state that the job has from now on. */
export interface JobStatusEnvelope extends EnvelopeBase {
  kind: 'job-status'
  status: Status
  /** The data that a client needs to show the present state of the job; null is the same as no snapshot. */
  snapshot?: Record<string, unknown> | null
}

/** An event of one of the three kinds that every gateway knows. */
export type KnownEnvelope = GenerationEnvelope | DomainEnvelope | JobStatusEnvelope

/** An event of a kind that the gateway's CATALOGUE_FILE adds; see the option `kinds`. */
export interface CustomEnvelope extends EnvelopeBase {
  kind: string
}

/** One event as a worker publishes it. */
export type Envelope = KnownEnvelope | CustomEnvelope

/** Optional fields that the constructors take beside the body. */
export type Extras = Pick<EnvelopeBase, 'id' | 'emittedAt' | 'traceparent'>

/** An envelope of the kind `generation`. It is checked when it is published. */
export function generationEvent(jobId: string, event: EventBody, extras: Extras = {}): GenerationEnvelope {
  return { version: protocolVersion, kind: 'generation', jobId, event, ...extras }
}

/** An envelope of the kind `domain`. It is checked when it is published. */
export function domainEvent(jobId: string, event: EventBody, extras: Extras = {}): DomainEnvelope {
  return { version: protocolVersion, kind: 'domain', jobId, event, ...extras }
}

/** An envelope of the kind `job-status`; it has no snapshot if `snapshot` is undefined. It is checked when it is published. */
export function jobStatus(
  jobId: string,
  status: Status,
  snapshot?: Record<string, unknown> | null,
  extras: Extras = {},
): JobStatusEnvelope {
  const envelope: JobStatusEnvelope = { version: protocolVersion, kind: 'job-status', jobId, status, ...extras }
  return snapshot === undefined ? envelope : { ...envelope, snapshot }
}
