import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createPublisher, domainEvent, type Publisher, type PublisherOptions } from '../src/index.js'
import { FakeRedis } from './support/fakeredis.js'

type Reply = { status: number; body?: unknown; header?: Record<string, string> }

let server: Server
let redis: FakeRedis
let publisher: Publisher | undefined
let requests: { headers: IncomingMessage['headers']; url: string | undefined; body: { id: string; jobId: string } }[]
let reply: (body: { id: string; jobId: string }) => Reply

const event = (jobId: string, id: string) => domainEvent(jobId, { type: 'step', occurredAt: 'now' }, { id })
const stored = ({ id, jobId }: { id: string; jobId: string }): Reply => ({ status: 201, body: { id, jobId, sequence: 5, duplicate: false } })

beforeEach(async () => {
  requests = []
  reply = stored
  redis = new FakeRedis()
  server = createServer(async (request, response) => {
    let text = ''
    try {
      for await (const chunk of request) text += chunk
    } catch {
      return // the publisher was closed
    }
    const body = JSON.parse(text)
    requests.push({ headers: request.headers, url: request.url, body })
    const { status, body: answer, header } = reply(body)
    response.writeHead(status, header).end(typeof answer === 'string' ? answer : JSON.stringify(answer ?? {}))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
})

afterEach(async () => {
  await publisher?.close({ timeoutMs: 0 })
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})

function open(options: Partial<PublisherOptions> = {}, http: Partial<PublisherOptions['http']> = {}): Publisher {
  const url = http?.url ?? `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  publisher = createPublisher({ redis: redis.connect, backoffMinMs: 5, backoffMaxMs: 10, ...options, http: { afterMs: 0, ...http, url } })
  return publisher
}

test('while Redis is away events go over HTTP, with the token, and the answer is the receipt', async () => {
  open({}, { token: 'secret' })
  await expect(publisher?.publish(event('job', 'a'))).resolves.toEqual({ id: 'a', jobId: 'job', sequence: 5, duplicate: false })
  expect(requests[0]).toMatchObject({ url: '/api/realtime/events', headers: { authorization: 'Bearer secret', 'content-type': 'application/json' } })
  expect(publisher?.stats()).toMatchObject({ confirmed: 1, confirmedHttp: 1, redisReady: false })
})

test.each([
  [400, 'schema-violation'],
  [409, 'id-conflict'],
  [413, 'too-large'],
])('an answer of %d %s is final, and the next of the job goes', async (status, code) => {
  reply = (body) => (body.id === 'a' ? { status, body: { code, message: 'because' } } : stored(body))
  open()
  const refused = publisher?.publish(event('job', 'a'))
  const next = publisher?.publish(event('job', 'b'))
  await expect(refused).rejects.toMatchObject({ reason: code, message: `${code}: because` })
  await expect(next).resolves.toMatchObject({ id: 'b' })
})

test.each([
  [503, { code: 'unavailable', message: 'later' }],
  [408, { code: 'slow-body' }],
  [400, { code: 'incomplete-body' }],
  [401, 'no'],
  [502, '<html>'],
  [200, 'null'],
  [200, { id: 'a' }],
])('an answer of %d %o is not: the event is repeated', async (status, body) => {
  const errors: string[] = []
  reply = (sent) => (requests.length < 3 ? { status, body } : stored(sent))
  open({ onError: (error) => errors.push(error.message) })
  await expect(publisher?.publish(event('job', 'a'))).resolves.toMatchObject({ sequence: 5 })
  expect(requests.map(({ body }) => body.id)).toEqual(['a', 'a', 'a'])
  expect(errors[0]).toContain(`the gateway answered ${status}`)
})

test('a gateway that is not there is waited for', async () => {
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  open({}, { url: `http://127.0.0.1:${port}` })
  const promise = publisher?.publish(event('job', 'a'))
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  await expect(promise).resolves.toMatchObject({ id: 'a' })
})

test('one event that Redis takes in vain asks over HTTP why, while others are confirmed', async () => {
  redis.onPublish = ({ id, jobId }) => {
    if (id !== 'poison') redis.receipt(id, jobId)
    return 1
  }
  reply = ({ id }) => ({ status: 409, body: { code: 'id-conflict', message: id } })
  open({ receiptTimeoutMs: 5 }, { afterMs: 60_000, afterAttempts: 2 })
  redis.up()
  const poison = publisher?.publish(event('a', 'poison'))
  await expect(publisher?.publish(event('b', 'good'))).resolves.toBeDefined()
  await expect(poison).rejects.toMatchObject({ reason: 'id-conflict' })
  expect(redis.ids.filter((id) => id === 'poison')).toHaveLength(2)
})

test('an event whose attempts are further apart than the probes of a silent Redis goes over HTTP', async () => {
  redis.onPublish = () => 1
  open({ receiptTimeoutMs: 40 }, { afterMs: 10 })
  redis.up()
  await expect(publisher?.publish(event('job', 'a'))).resolves.toMatchObject({ id: 'a' })
  expect(publisher?.stats()).toMatchObject({ confirmed: 1, confirmedHttp: 1 })
})

test('while Redis is silent events go over HTTP, and one at a time tries Redis again', async () => {
  let silent = true
  redis.onPublish = ({ id, jobId }) => {
    if (!silent) redis.receipt(id, jobId)
    return 1
  }
  open({ receiptTimeoutMs: 20 }, { afterMs: 30 })
  redis.up()
  for (let n = 0; n < 10; n++) await publisher?.publish(event(`${n}`, `${n}`))
  expect(publisher?.stats().confirmedHttp).toBe(10)
  silent = false
  const before = publisher?.stats().confirmedHttp ?? 0
  for (let n = 0; (publisher?.stats().confirmed ?? 0) === (publisher?.stats().confirmedHttp ?? 0); n++) await publisher?.publish(event('again', `again-${n}`))
  const http = publisher?.stats().confirmedHttp
  expect(http).toBeGreaterThanOrEqual(before)
  for (let n = 0; n < 10; n++) await publisher?.publish(event('back', `back-${n}`))
  expect(publisher?.stats().confirmedHttp).toBe(http)
})
