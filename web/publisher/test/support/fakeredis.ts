import { EventEmitter } from 'node:events'
import type { Redis } from 'ioredis'
import type { Role } from '../../src/index.js'

/** What a test decides about one PUBLISH: how many subscribers had it, or an error. */
export type OnPublish = (body: { id: string; jobId: string }, text: string) => number | Error | Promise<number>

/** A Redis that a test scripts: both connections of one publisher. */
export class FakeRedis {
  readonly published: string[] = []
  readonly #clients = new Map<Role, FakeClient>()

  constructor(public onPublish: OnPublish = () => 1) {}

  /** The option `redis`. */
  readonly connect = (role: Role): Redis => {
    const client = new FakeClient(this)
    this.#clients.set(role, client)
    return client as unknown as Redis
  }

  client(role: Role): FakeClient {
    return this.#clients.get(role) as FakeClient
  }

  /** Brings both connections up. */
  up(): void {
    for (const client of this.#clients.values()) client.up()
  }

  down(): void {
    for (const client of this.#clients.values()) client.down()
  }

  /** Delivers a receipt. */
  receipt(id: string, jobId: string, sequence = 1, duplicate = false): void {
    this.raw(JSON.stringify({ id, jobId, sequence, duplicate }))
  }

  raw(text: string): void {
    this.client('receipts').emit('message', 'novel.realtime.receipts', text)
  }

  get ids(): string[] {
    return this.published.map((text) => (JSON.parse(text) as { id: string }).id)
  }
}

export class FakeClient extends EventEmitter {
  status = 'connecting'
  silent = false
  reconnects = 0
  constructor(readonly redis: FakeRedis) {
    super()
  }

  up(): void {
    if (this.status === 'ready') return
    this.status = 'ready'
    this.emit('ready')
  }

  down(): void {
    this.status = 'reconnecting'
    this.emit('close')
  }

  async publish(_channel: string, text: string): Promise<number> {
    this.redis.published.push(text)
    const answer = await this.redis.onPublish(JSON.parse(text), text)
    if (answer instanceof Error) throw answer
    return answer
  }

  async subscribe(): Promise<void> {
    if (this.silent) await new Promise(() => {})
  }

  async ping(): Promise<string> {
    if (this.silent) await new Promise(() => {})
    return 'PONG'
  }

  disconnect(reconnect = false): void {
    if (reconnect) this.reconnects++
    this.down()
  }
}
