import { join } from 'node:path'
import { createPublisher, type Envelope, generationEvent, type Publisher, type Receipt } from '@letswriteabook/realtime-publisher'
import { Redis } from 'ioredis'
import { Proxy } from '../../client/test/support/proxy.js'
import { scratch, Server } from '../../publisher/test/support/servers.js'
import { type Folders, Site } from './site.js'

/** What differs from one stack to the next. */
export interface StackOptions {
  /** The folder of the compiled commands. */
  programs: string
  /** What the site serves. */
  folders: Folders
  /** Settings of the gateway. */
  env?: Record<string, string>
  /** Further keys of the site's `config.json`, beside `gateway`. */
  config?: Record<string, unknown>
}

/**
 * What a page lives on: the site that it comes from, the network, a gateway with
 * its log inside, Redis, and a worker that publishes. Servers are killed and
 * started again on their ports. `stop` ends everything.
 */
export class Stack {
  #chapters = 0

  private constructor(
    readonly site: Site,
    readonly network: Proxy,
    readonly gateway: Server,
    readonly redis: Server,
    readonly worker: Publisher,
    readonly remove: () => void,
  ) {}

  static async start({ programs, folders, env, config }: StackOptions): Promise<Stack> {
    const { dir, remove } = scratch()
    let network: Proxy | undefined
    const site = await Site.start(folders, () => ({ ...config, gateway: network?.url }))
    const redis = await Server.redis(dir)
    const gateway = await Server.gateway(join(programs, 'realtime'), join(dir, 'data'), {
      REDIS_URL: redisURL(redis), SOCKET_CLIENT_ORIGIN: site.url, ...env,
    })
    network = await Proxy.start(gateway.port)
    // Redis goes away in some scenarios: what the worker publishes then waits in its outbox.
    const worker = createPublisher({ redis: new Redis(redisURL(redis), { lazyConnect: true }), onError: () => undefined })
    return new Stack(site, network, gateway, redis, worker, remove)
  }

  publish(envelope: Envelope): Promise<Receipt> {
    return this.worker.publish(envelope)
  }

  /** Publishes as many drafted chapters of a job, and returns their receipts in the order of the log. */
  chapters(jobId: string, count: number): Promise<Receipt[]> {
    return Promise.all(Array.from({ length: count }, () => {
      const chapter = ++this.#chapters
      return this.publish(generationEvent(jobId, { type: 'chapter-drafted', occurredAt: new Date().toISOString(), chapter }))
    }))
  }

  /** Breaks every connection between browser and gateway, and lets no new one come about. */
  cut(): void {
    this.network.mode = 'refused'
    this.network.cut()
  }

  /** Lets HTTP through and no WebSocket, as a proxy of an office may. */
  blockSockets(): void {
    this.network.mode = 'websockets-refused'
    this.network.cut()
  }

  /** Makes the network whole again. */
  mend(): void {
    this.network.mode = 'open'
  }

  async stop(): Promise<void> {
    await this.worker.close({ timeoutMs: 0 }).catch(() => undefined)
    await Promise.all([this.network.close(), this.site.close(), this.gateway.kill(), this.redis.kill()])
    this.remove()
  }
}

function redisURL(redis: Server): string {
  return `redis://127.0.0.1:${redis.port}`
}
