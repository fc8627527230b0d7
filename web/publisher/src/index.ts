/**
 * Publishes events to the realtime service, and keeps each one until its receipt
 * confirms that the log has it.
 *
 *     publish ─▶ outbox (and journal) ─▶ courier ─┬─▶ Redis novel.realtime.events
 *                   ▲                             └─▶ HTTP, where Redis stays away
 *                   └── receipt ◀── Redis novel.realtime.receipts, or the answer over HTTP
 *
 * Guarantees:
 * - An event leaves the outbox when the log has it, when it is refused, or when
 *   it is given up after `giveUpAfterMs`; each outcome is reported.
 * - Each job has one event in flight, in the order of `publish`; it is repeated with
 *   the same bytes and the same id until it leaves the outbox.
 * - The outbox is bounded in events and bytes. At the bound `publish` refuses.
 */
export * from './envelope.js'
export * from './errors.js'
export type { HttpOptions, PublisherOptions, Role } from './options.js'
export { createPublisher, type Publisher, type Stats } from './publisher.js'
export type { Receipt } from './receipt.js'
