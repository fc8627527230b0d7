import { readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { extname, join, normalize } from 'node:path'

const types: Record<string, string> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
}

/** A folder that the site has at a path, such as `/` or `/lib/`. */
export type Folders = Record<string, string>

/**
 * The host of a page, apart from the gateway as in production: static files, and
 * a `config.json` that says where the gateway is.
 */
export class Site {
  private constructor(readonly port: number, readonly server: Server) {}

  /** Listens on a free loopback port. `config` is asked for each time, since a gateway's address is not known before the site's. */
  static async start(folders: Folders, config: () => unknown): Promise<Site> {
    const server = createServer(async (request, response) => {
      const path = new URL(request.url ?? '/', 'http://site').pathname
      if (path === '/config.json') {
        response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(config()))
        return
      }
      const at = Object.keys(folders).filter((prefix) => path.startsWith(prefix)).sort((a, b) => b.length - a.length)[0]
      const name = at === undefined ? '' : path.slice(at.length) || 'index.html'
      const body = at === undefined ? undefined : await readFile(join(folders[at] as string, normalize(`/${name}`))).catch(() => undefined)
      if (body === undefined) {
        response.writeHead(404).end()
        return
      }
      response.writeHead(200, { 'Content-Type': types[extname(name)] ?? 'application/octet-stream', 'Cache-Control': 'no-store' }).end(body)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return new Site((server.address() as { port: number }).port, server)
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  async close(): Promise<void> {
    this.server.closeAllConnections()
    await new Promise((resolve) => this.server.close(resolve))
  }
}
