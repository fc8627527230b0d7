import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { setTimeout as delay } from 'node:timers/promises'

// Not by new URL: in a test with a DOM that is the page's.
const root = join(fileURLToPath(import.meta.url), '../../../../..')

/** Which program a test on real servers misses; undefined when none. In CI that is a failure. */
export function missing(): string | undefined {
  for (const [program, argument] of [['redis-server', '--version'], ['go', 'version']] as const) {
    try {
      execFileSync(program, [argument], { stdio: 'ignore' })
    } catch {
      if (process.env['CI'] === 'true') throw new Error(`${program} is missing, and CI=true`)
      console.warn(`SKIPPED: ${program} is missing, so nothing was tested on real servers`)
      return program
    }
  }
  return undefined
}

/** Compiles the gateway, and returns the path of its binary. */
export function build(dir: string): string {
  const binary = join(dir, 'realtime')
  execFileSync('go', ['build', '-o', binary, './cmd/realtime'], { cwd: root, stdio: 'inherit' })
  return binary
}

export function scratch(): { dir: string; remove(): void } {
  const dir = mkdtempSync(join(tmpdir(), 'publisher-'))
  return { dir, remove: () => rmSync(dir, { recursive: true, force: true }) }
}

/** Repeats a question until it is answered with true; for states of other processes, which send no signal. */
export async function until(what: string, question: () => boolean | Promise<boolean>, patienceMs = 60_000): Promise<void> {
  for (const end = Date.now() + patienceMs; ; await delay(20)) {
    if (await question()) return
    if (Date.now() > end) throw new Error(`waited ${patienceMs} ms in vain: ${what}`)
  }
}

/** The ports that this process has given out, whose servers may not have started yet, or be away for a moment. */
const given = new Set<number>()

/**
 * A port on which nobody listens. It lies below those that Linux gives to outgoing
 * connections and to servers that listen on port 0, so that none of them takes it before
 * its server has started, or while that is away.
 */
export async function freePort(): Promise<number> {
  // The processes in which test files run at the same time have different numbers.
  const share = Number(process.env['VITEST_POOL_ID'] ?? 1) % 19
  for (;;) {
    const port = 12_000 + share * 1000 + Math.floor(Math.random() * 1000)
    if (given.has(port)) continue
    const server = createServer()
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true))
    })
    if (!free) continue
    await new Promise((resolve) => server.close(resolve))
    given.add(port)
    return port
  }
}

/** A program that is killed and started again on the same port. */
export class Server {
  #process: ChildProcess | undefined
  #ended: Promise<unknown> = Promise.resolve()
  output = ''

  constructor(
    readonly port: number,
    readonly command: string[],
    readonly env: Record<string, string>,
    readonly ready: (server: Server) => Promise<boolean>,
  ) {}

  static async redis(dir: string): Promise<Server> {
    const port = await freePort()
    const command = ['redis-server', '--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--dir', dir]
    const server = new Server(port, command, {}, async (s) => s.output.includes('Ready to accept connections'))
    await server.start()
    return server
  }

  static async gateway(binary: string, dataDir: string, env: Record<string, string>): Promise<Server> {
    const port = await freePort()
    const all = { DATA_DIR: dataDir, DRAIN_SECONDS: '0', HOST: '127.0.0.1', PORT: `${port}`, NATS_SYNC: '10s', ...env }
    const server = new Server(port, [binary, 'serve'], all, async (s) => {
      const response = await fetch(s.url('/health/live')).catch(() => undefined)
      return response?.status === 200
    })
    await server.start()
    return server
  }

  url(path: string): string {
    return `http://127.0.0.1:${this.port}${path}`
  }

  async start(): Promise<void> {
    const [program, ...rest] = this.command
    this.output = ''
    const child = spawn(program as string, rest, { env: { ...process.env, ...this.env }, stdio: ['ignore', 'pipe', 'pipe'] })
    const keep = (chunk: Buffer) => {
      this.output = (this.output + chunk.toString()).slice(-20_000)
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    this.#process = child
    this.#ended = new Promise((resolve) => child.once('exit', resolve))
    // A test that gives up waiting, or is out of time first, leaves nothing behind.
    const orphaned = () => void child.kill('SIGKILL')
    process.once('exit', orphaned)
    child.once('exit', () => process.off('exit', orphaned))
    let over = false
    void this.#ended.then(() => (over = true))
    await until(`${program} is ready`, async () => {
      if (over) throw new Error(`${program} has ended before it was ready`)
      return this.ready(this)
    }).catch((error: Error) => {
      orphaned()
      throw new Error(`${error.message}: ${this.output}`)
    })
  }

  /** Stops the process where it is: its connections stay and answer nothing. */
  pause(): void {
    this.#process?.kill('SIGSTOP')
  }

  resume(): void {
    this.#process?.kill('SIGCONT')
  }

  async kill(): Promise<void> {
    this.#process?.kill('SIGKILL')
    await this.#ended
  }
}

/** One item of `GET /api/novel/:jobId/events`. */
export interface Item {
  sequence: number
  id?: string
  event: { n: number }
}

/** Everything that the log has of a job, in its order. */
export async function readBack(gateway: Server, jobId: string): Promise<Item[]> {
  const all: Item[] = []
  for (let since = 0; ; since = all.at(-1)?.sequence ?? 0) {
    const response = await fetch(gateway.url(`/api/novel/${encodeURIComponent(jobId)}/events?since=${since}&limit=1000`))
    if (response.status !== 200) throw new Error(`reading back: ${response.status} ${await response.text()}`)
    const { items } = (await response.json()) as { items: Item[] }
    if (items.length === 0) return all
    all.push(...items)
  }
}
