#!/usr/bin/env node
// A worker that publishes what it reads: one envelope a line on standard input,
// one receipt a line on standard output, in the order in which they come. A line
// that is refused is told on standard error. It stops reading while its outbox is
// full, and leaves when its input has ended and every event is confirmed.
//
//   REDIS_URL    redis://localhost:6379
//   HTTP_URL     base address of a gateway, for publishing while Redis is away
//   HTTP_TOKEN   its token
//   OUTBOX_DIR   folder of the journal
//   MAX_EVENTS   events in the outbox
//   CLOSE_MS     how long to wait for receipts at the end (60000)
//
// The status is 0 when everything is confirmed, 1 when lines were refused, 2 when
// events are unconfirmed.
import { createInterface } from 'node:readline'
import { Redis } from 'ioredis'
import { createPublisher } from '@letswriteabook/realtime-publisher'

const { REDIS_URL = 'redis://localhost:6379', HTTP_URL, HTTP_TOKEN, OUTBOX_DIR, MAX_EVENTS, CLOSE_MS = '60000' } = process.env
let refused = 0

const complain = (fields) => process.stderr.write(`${JSON.stringify(fields)}\n`)

const redis = new Redis(REDIS_URL, { lazyConnect: true })
const publisher = createPublisher({
  redis,
  ...(HTTP_URL ? { http: { url: HTTP_URL, ...(HTTP_TOKEN ? { token: HTTP_TOKEN } : {}) } } : {}),
  ...(OUTBOX_DIR ? { dir: OUTBOX_DIR } : {}),
  ...(MAX_EVENTS ? { maxEvents: Number(MAX_EVENTS) } : {}),
  onReceipt: (receipt) => process.stdout.write(`${JSON.stringify(receipt)}\n`),
  onRejected: (envelope, error) => complain({ error: error.message, id: envelope.id, jobId: envelope.jobId }),
  onFull: (load) => complain({ warning: 'the outbox is full', ...load }),
  onError: (error) => complain({ warning: error.message }),
})

let number = 0
for await (const line of createInterface({ input: process.stdin })) {
  number++
  if (line.trim() === '') continue
  await publishLine(line, number)
}
const unconfirmed = await publisher.close({ timeoutMs: Number(CLOSE_MS) })
complain({ stats: publisher.stats() })
if (unconfirmed > 0) process.exitCode = 2
else if (refused > 0 || publisher.stats().rejected > 0) process.exitCode = 1

// Resolves once the outbox has the event, not once the log has it.
async function publishLine(text, at) {
  await publisher.room()
  try {
    void publisher.publish(JSON.parse(text)).catch((error) => {
      if (error.name === 'ClosedError' || error.name === 'RejectedError') complain({ error: error.message, line: at })
      if (error.name !== 'ClosedError') refused++
    })
  } catch (error) {
    refused++
    complain({ error: error.message, line: at })
  }
}
