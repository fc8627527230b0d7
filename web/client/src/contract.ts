import type { Socket } from 'socket.io-client'
import type {
  CaughtUp, DomainPayload, ErrorPayload, Gap, GenerationPayload, JobStatusPayload, Pong, SubscribeRequest, Subscribed,
  Unsubscribed, UnsubscribeRequest,
} from './generated.js'

/** The codes of the service, with what to do about each in `docs/errors.md`. */
export type ErrorCode = ErrorPayload['code']

/** The fields of every event of a job. */
interface EventBase {
  jobId: string
  /** RFC 3339. */
  emittedAt: string
  /** Position in the log: ascending within a job, with holes. Absent for an event that is not in the log. */
  sequence?: number
  /** The worker's id of the event, if it has one. */
  id?: string
  /** W3C trace context of the event, if it has one and the client has `opentelemetry`. */
  traceparent?: string
}

export type GenerationEvent = { kind: 'generation' } & GenerationPayload
export type DomainEvent = { kind: 'domain' } & DomainPayload
export type JobStatusEvent = { kind: 'job-status' } & JobStatusPayload

/** An event of a kind that a catalogue file has added to the gateway. */
export interface OtherEvent extends EventBase {
  kind: 'other'
  /** The kind's name. */
  name: string
  [field: string]: unknown
}

/** One event of a job: its `kind` and the payload. */
export type JobEvent = GenerationEvent | DomainEvent | JobStatusEvent | OtherEvent

/** The acknowledgement of a request. */
export type Answer = ({ ok: true; jobId?: string; epoch?: string } & Record<string, unknown>) | ({ ok: false } & ErrorPayload)

/** The events that the server sends, for a `Socket` of socket.io-client. */
export interface ServerToClientEvents {
  'novel.generation-event': (payload: GenerationPayload) => void
  'novel.domain-event': (payload: DomainPayload) => void
  'novel.job-status': (payload: JobStatusPayload) => void
  'novel.subscribed': (payload: Subscribed) => void
  'novel.unsubscribed': (payload: Unsubscribed) => void
  'novel.caught-up': (payload: CaughtUp) => void
  'novel.gap': (payload: Gap) => void
  'novel.error': (payload: ErrorPayload) => void
  pong: (payload: Pong) => void
}

/** The events that the client sends. */
export interface ClientToServerEvents {
  subscribe: (request: SubscribeRequest & { epoch?: string }, answer?: (answer: Answer) => void) => void
  unsubscribe: (request: UnsubscribeRequest, answer?: (answer: Answer) => void) => void
  refresh: (request: { token: string }, answer?: (answer: Answer) => void) => void
  ping: (answer?: (answer: Answer) => void) => void
}

/** A socket of socket.io-client with the events of the service. */
export type RealtimeSocket = Socket<ServerToClientEvents, ClientToServerEvents>

/** The wire version that this package supports; an event of a later version is skipped with a diagnostic. */
export const wireVersion = 1

const known = /^(generation|domain|job-status)$/

/** The event that an item of a page is. */
export function fromItem(item: { kind: string }): JobEvent {
  return (known.test(item.kind) ? item : { ...item, kind: 'other', name: item.kind }) as JobEvent
}

/** The event that a socket or an event stream has delivered under `name`. */
export function fromSocket(name: string, payload: object, kinds: Record<string, string>): JobEvent {
  return fromItem({ ...payload, kind: kinds[name] ?? name.replace(/^novel\.|-event$/g, '') })
}
