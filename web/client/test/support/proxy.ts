import { createServer, type Server, type Socket } from 'node:net'
import { connect } from 'node:net'

/** What the proxy does: hands everything on; refuses WebSockets, ends them as soon as they are open, or lets them hang; lets event streams hang too; refuses all; lets all hang. */
export type Mode = 'open' | 'websockets-refused' | 'websockets-end' | 'websockets-hang' | 'streams-hang' | 'refused' | 'hang'

/** A TCP proxy in front of the gateway, that cuts and blocks. */
export class Proxy {
  mode: Mode = 'open'
  /** Connections that were taken, and first lines of requests. */
  readonly requests: string[] = []
  readonly #sockets = new Set<Socket>()
  #generation = 0

  private constructor(
    readonly server: Server,
    readonly port: number,
  ) {}

  static async start(target: number): Promise<Proxy> {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const proxy = new Proxy(server, (server.address() as { port: number }).port)
    server.on('connection', (socket) => proxy.#take(socket, target))
    return proxy
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  /** Breaks every connection. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  /** Makes the connections that there are carry nothing any more, without ending them, as after a change of the network. */
  mute(): void {
    this.#generation++
  }

  async close(): Promise<void> {
    this.cut()
    await new Promise((resolve) => this.server.close(resolve))
  }

  #keep(socket: Socket): Socket {
    this.#sockets.add(socket)
    socket.setNoDelay(true)
    socket.on('close', () => this.#sockets.delete(socket))
    socket.on('error', () => {})
    return socket
  }

  #take(socket: Socket, target: number): void {
    this.#keep(socket)
    if (this.mode === 'refused') return void socket.resetAndDestroy()
    let upstream: Socket | undefined
    const generation = this.#generation
    socket.on('data', (chunk) => {
      if (generation !== this.#generation) return
      const { mode } = this
      const line = /^[A-Z]+ (\S+) HTTP\/1\.1\r\n/.exec(chunk.toString('latin1'))
      if (line) this.requests.push(line[1] as string)
      const upgrades = line !== null && /\r\nupgrade: websocket\r\n/i.test(chunk.toString('latin1'))
      const streams = line?.[1]?.includes('/stream') ?? false
      if (mode === 'hang' || (mode === 'websockets-hang' && upgrades) || (mode === 'streams-hang' && streams)) return
      if (upgrades && (mode === 'websockets-refused' || mode === 'streams-hang')) return void socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n')
      upstream ??= this.#connect(socket, target)
      upstream.write(chunk)
    })
    socket.on('close', () => upstream?.destroy())
  }

  #connect(socket: Socket, target: number): Socket {
    const upstream = this.#keep(connect(target, '127.0.0.1'))
    const generation = this.#generation
    upstream.on('data', (chunk) => {
      if (generation !== this.#generation) return
      const head = chunk.indexOf('\r\n\r\n') + 4
      if (this.mode === 'websockets-end' && chunk.toString('latin1', 0, 12) === 'HTTP/1.1 101') socket.end(chunk.subarray(0, head))
      else socket.write(chunk)
    })
    upstream.on('close', () => socket.destroy())
    return upstream
  }
}
