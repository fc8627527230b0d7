/**
 * Follows jobs of the realtime service from a browser or a program.
 *
 *     subscribeJob ─▶ job (listeners, cursors) ◀─┬─ link: one socket, tokens, when to connect
 *          ▲                                     └─ fallback: event stream or polling while sockets are blocked
 *          └── events, in order, each once; status and its reason
 *
 * Guarantees:
 * - A subscriber receives every event of its job once, in ascending `sequence`.
 *   A gap reports events that no longer exist.
 * - This holds for every transport, and across every change of the transport.
 * - No handler of a subscriber is called after its `unsubscribe`.
 */
export { createRealtime, Realtime, type Subscription } from './client.js'
export {
  type Answer, type ClientToServerEvents, type DomainEvent, type ErrorCode, type GenerationEvent, type JobEvent,
  type JobStatusEvent, type OtherEvent, type RealtimeSocket, type ServerToClientEvents, wireVersion,
} from './contract.js'
export type * from './generated.js'
export type { EventContext, JobHandlers } from './job.js'
export type { OpenTelemetry, OpenTelemetrySpan } from './opentelemetry.js'
export type { Auth, AuthContext, Diagnostic, FallbackOptions, RealtimeOptions } from './options.js'
export { formatPosition, parsePosition, type Position } from './position.js'
export { type Page, type PageQuery, RequestError } from './rest.js'
export { isLive, type LocalCode, type Reason, type State, type Status, type Transport } from './status.js'
