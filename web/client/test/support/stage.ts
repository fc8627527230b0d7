import { Redis } from 'ioredis'
import { inject, onTestFinished } from 'vitest'
import { scratch, Server, until } from '../../../publisher/test/support/servers.js'
import { createRealtime, type JobEvent, type JobHandlers, type Realtime, type RealtimeOptions, type Status, type Subscription } from '../../src/index.js'
import { Proxy } from './proxy.js'

export { until }

/** Whether there is a gateway to test on. */
export const ready = inject('gateway') !== ''

/** A gateway behind a proxy, as a test needs it; all of it ends with the test. */
export class Stage {
  private constructor(
    readonly gateway: Server,
    readonly proxy: Proxy,
    readonly redis: Server | undefined,
    /** Where the gateway keeps its log. */
    readonly dataDir: string,
  ) {}

  static async start(env: Record<string, string> = {}, options: { redis?: boolean } = {}): Promise<Stage> {
    const { dir, remove } = scratch()
    const redis = options.redis ? await Server.redis(dir) : undefined
    const backends = redis ? { REDIS_URL: `redis://127.0.0.1:${redis.port}` } : {}
    const gateway = await Server.gateway(inject('gateway'), `${dir}/data`, {
      SOCKET_CLIENT_ORIGIN: '*', INTERNAL_TOKEN: internalToken, ...backends, ...env,
    })
    const proxy = await Proxy.start(gateway.port)
    onTestFinished(async () => {
      await proxy.close()
      await gateway.kill()
      await redis?.kill()
      remove()
    })
    return new Stage(gateway, proxy, redis, `${dir}/data`)
  }

  /**
   * A client that connects through the proxy. It falls back only if the test says so: on a
   * busy machine a socket may take longer than the default time after which a client falls back.
   */
  client(options: RealtimeOptions = {}): Realtime {
    const client = createRealtime({ url: this.proxy.url, reconnect: { minMs: 50, maxMs: 500 }, lingerMs: 50, fallback: false, ...options })
    onTestFinished(() => client.close())
    return client
  }

  /** Publishes domain events that count from n on, and returns their sequences. */
  async publish(jobId: string, from: number, count = 1): Promise<number[]> {
    const lines = Array.from({ length: count }, (_, at) => JSON.stringify(domain(jobId, from + at)))
    const { results } = await this.post(lines.join('\n'))
    return results.map(({ sequence }) => sequence)
  }

  async status(jobId: string, status: string, snapshot?: object): Promise<number> {
    const { results } = await this.post(JSON.stringify({ kind: 'job-status', jobId, status, snapshot }))
    return (results[0] as { sequence: number }).sequence
  }

  /** Publishes through Redis, as workers do. */
  async worker(): Promise<(jobId: string, n: number) => Promise<void>> {
    const redis = new Redis((this.redis as Server).port)
    onTestFinished(() => redis.disconnect())
    await until('the gateway listens', async () => (await redis.pubsub('NUMSUB', 'novel.realtime.events'))[1] === 1)
    return async (jobId, n) => void (await redis.publish('novel.realtime.events', JSON.stringify(domain(jobId, n))))
  }

  /** The gateway's own count. */
  async metrics(): Promise<{ totalConnections: number; totalSubscriptions: number; subscribersPerJob: Record<string, number> }> {
    const headers = { Authorization: `Bearer ${internalToken}` }
    return (await (await fetch(this.gateway.url('/internal/realtime/metrics'), { headers })).json()) as Awaited<ReturnType<Stage['metrics']>>
  }

  private async post(body: string): Promise<{ results: { sequence: number }[] }> {
    const headers = { 'Content-Type': 'application/x-ndjson', Authorization: `Bearer ${internalToken}` }
    const response = await fetch(this.gateway.url('/api/realtime/events'), { method: 'POST', headers, body })
    if (response.status !== 200) throw new Error(`publishing: ${response.status} ${await response.text()}`)
    return (await response.json()) as { results: { sequence: number }[] }
  }
}

/** Lets a test publish where tokens are used. */
export const internalToken = 'a-token-for-tests-only'

function domain(jobId: string, n: number) {
  return { kind: 'domain', jobId, event: { type: 'step', occurredAt: '2026-01-01T00:00:00Z', n } }
}

/** What one subscriber was told. */
export class Seen {
  readonly events: JobEvent[] = []
  readonly live: JobEvent[] = []
  readonly states: string[] = []
  /** Every status it was given, for one that may be over when the test looks. */
  readonly statuses: Status[] = []
  readonly told: string[] = []
  status: Status = { state: 'idle' }
  readonly subscription: Subscription

  constructor(client: Realtime, readonly jobId: string, handlers: JobHandlers = {}) {
    this.subscription = client.subscribeJob(jobId, {
      ...handlers,
      onEvent: (event, context) => {
        this.events.push(event)
        if (!context.replayed) this.live.push(event)
        handlers.onEvent?.(event, context)
      },
      onStatus: (status) => {
        this.status = status
        this.states.push(status.state)
        this.statuses.push(status)
        handlers.onStatus?.(status)
      },
      onCaughtUp: (caughtUp) => {
        this.told.push('caught-up')
        handlers.onCaughtUp?.(caughtUp)
      },
      onGap: (gap) => {
        this.told.push(`gap ${gap.reason}`)
        handlers.onGap?.(gap)
      },
      onError: (error) => {
        this.told.push(error.code)
        handlers.onError?.(error)
      },
    })
    this.status = this.subscription.status
  }

  /** The numbers of the domain events, in the order in which they were told. */
  get numbers(): number[] {
    return this.events.flatMap((event) => (event.kind === 'domain' ? [event.event['n'] as number] : []))
  }

  state(state: string): Promise<void> {
    return until(`${this.jobId} is ${state}, and not ${JSON.stringify(this.status)}`, () => this.status.state === state)
  }

  /** Waits for a status that it has or had, and returns the first. */
  async had(what: string, matches: (status: Status) => boolean): Promise<Status> {
    await until(`${this.jobId}: ${what}, and not ${JSON.stringify(this.status)}`, () => this.statuses.some(matches))
    return this.statuses.find(matches) as Status
  }

  count(count: number): Promise<void> {
    return until(`${this.jobId} has ${count} events, and not ${this.events.length}`, () => this.events.length >= count)
  }
}

/** 0, 1, … n-1. */
export function range(n: number): number[] {
  return Array.from({ length: n }, (_, at) => at)
}
