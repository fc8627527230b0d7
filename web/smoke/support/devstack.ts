import { freePort, Server } from '../../publisher/test/support/servers.js'
import { jobPageFolder } from './jobpage.js'

/** Starts `realtime-dev`, the gateway with everything it needs in one process, on free ports. */
export async function devStack(programs: string, dir: string): Promise<Server> {
  const port = await freePort()
  const free = ['--redis-addr', '127.0.0.1:0', '--mongo-addr', '127.0.0.1:0', '--nats-addr', '127.0.0.1:0']
  const command = [`${programs}realtime-dev`, '--port', `${port}`, '--data-dir', dir, '--page', jobPageFolder, ...free]
  const server = new Server(port, command, {}, async (s) => {
    const response = await fetch(s.url('/health/live')).catch(() => undefined)
    return response?.status === 200
  })
  await server.start()
  return server
}
