import { io } from 'socket.io-client'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { ErrorPayload, JobStatusPayload, RealtimeSocket } from '../src/index.js'
import { range, ready, Stage, until } from './support/stage.js'

/** Components that use socket.io-client directly work as they did; the types of this package fit their sockets. */
describe.skipIf(!ready)('socket.io-client alone', () => {
  test('subscribes on every connect, and listens to the three events and to errors', async () => {
    const stage = await Stage.start()
    const socket: RealtimeSocket = io(stage.proxy.url, { path: '/ws', transports: ['websocket'], reconnectionDelay: 50 })
    onTestFinished(() => void socket.disconnect())
    const numbers: unknown[] = []
    const statuses: JobStatusPayload['status'][] = []
    const errors: ErrorPayload['code'][] = []
    let generations = 0
    let connects = 0
    socket.on('connect', () => {
      connects++
      socket.emit('subscribe', { jobId: 'job-1' })
      socket.emit('subscribe', { jobId: '' })
    })
    socket.on('novel.domain-event', ({ event }) => numbers.push(event['n']))
    socket.on('novel.generation-event', () => generations++)
    socket.on('novel.job-status', ({ status }) => statuses.push(status))
    socket.on('novel.error', ({ code }) => errors.push(code))
    await stage.publish('job-1', 0, 5)
    await stage.status('job-1', 'running')
    await until('it has them', () => numbers.length === 5 && statuses.length === 1 && errors.length === 1)
    stage.proxy.cut()
    await stage.publish('job-1', 5, 5)
    // What was missed comes with the connection, the error only as the answer to a request.
    await until('it has the others', () => numbers.length >= 10 && errors.length >= 2)
    expect(numbers).toEqual(range(10))
    expect(statuses).toEqual(['running'])
    expect(generations).toBe(0)
    expect(connects).toBe(2)
    expect(errors).toEqual(['JOB_ID_REQUIRED', 'JOB_ID_REQUIRED'])
    expect(await socket.timeout(10_000).emitWithAck('ping')).toEqual({ ok: true })
  })
})
