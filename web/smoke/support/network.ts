import { createConnection, createServer, type Server, type Socket } from 'node:net'

const socketRequest = 'GET /ws'

/**
 * The network between a browser and a gateway: a TCP proxy that can be cut.
 * It owns its listener and every connection through it; `close` ends them all.
 */
export class Network {
  readonly #pairs = new Set<[Socket, Socket]>()
  #listener: Server | undefined
  #socketsBlocked = false
  #port = 0

  private constructor(readonly target: number) {}

  /** Listens on a free loopback port for what goes to the port of a gateway. */
  static async to(target: number): Promise<Network> {
    const network = new Network(target)
    await network.restore()
    return network
  }

  get port(): number {
    return this.#port
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  /** Breaks every connection, and refuses new ones. */
  async cut(): Promise<void> {
    const listener = this.#listener
    this.#listener = undefined
    const closed = new Promise((resolve) => listener?.close(resolve) ?? resolve(undefined))
    for (const pair of this.#pairs) pair.forEach((socket) => socket.destroy())
    await closed
  }

  /** Lets HTTP through and breaks WebSockets, as a proxy of an office may. `restore` ends it. */
  blockSockets(): void {
    this.#socketsBlocked = true
    for (const pair of this.#pairs) pair.forEach((socket) => socket.destroy())
  }

  /** Makes it whole again, on the same port. */
  async restore(): Promise<void> {
    this.#socketsBlocked = false
    if (this.#listener) return
    const listener = createServer((socket) => this.#join(socket))
    await new Promise<void>((resolve, reject) => {
      listener.once('error', reject)
      listener.listen(this.#port, '127.0.0.1', resolve)
    })
    this.#listener = listener
    this.#port = (listener.address() as { port: number }).port
  }

  close(): Promise<void> {
    return this.cut()
  }

  #join(client: Socket): void {
    const server = createConnection(this.target, '127.0.0.1')
    const pair: [Socket, Socket] = [client, server]
    this.#pairs.add(pair)
    for (const [from, to] of [[client, server], [server, client]] as const) {
      from.setNoDelay(true)
      from.on('error', () => to.destroy())
      from.on('close', () => {
        to.destroy()
        this.#pairs.delete(pair)
      })
    }
    server.pipe(client)
    client.once('data', (request) => {
      // Browsers open a connection of its own for every WebSocket.
      if (this.#socketsBlocked && request.subarray(0, socketRequest.length).toString() === socketRequest) {
        client.destroy()
        return
      }
      server.write(request)
      client.pipe(server)
    })
  }
}
