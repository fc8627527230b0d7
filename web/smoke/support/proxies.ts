import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort, Server } from '../../publisher/test/support/servers.js'

const page = fileURLToPath(new URL('../../../docs/ops/proxies.md', import.meta.url))

/** A proxy in front of a gateway, on TLS. */
export interface SecureProxy {
  name: string
  /** Its origin; the gateway is there, and below `/rt`. */
  url: string
  server: Server
}

/** The block of the page about proxies in a language, with other texts in the places of those that it has. */
function configuration(language: string, places: Record<string, string>): string {
  let text = new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\`$`, 'm').exec(readFileSync(page, 'utf8'))?.[1] ?? ''
  for (const [place, value] of Object.entries(places)) {
    if (!text.includes(place)) throw new Error(`${page}: the block of ${language} has no ${place}`)
    text = text.replaceAll(place, value)
  }
  return text
}

/** Starts Debian's nginx and HAProxy with the blocks of docs/ops/proxies.md and a certificate that is made for them, in a folder. */
export async function secureProxies(dir: string, gateway: string): Promise<SecureProxy[]> {
  mkdirSync(dir, { recursive: true })
  const [certificate, key, both] = ['certificate.pem', 'key.pem', 'both.pem'].map((name) => join(dir, name)) as [string, string, string]
  execFileSync('openssl', [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=localhost',
    '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', certificate,
  ], { stdio: 'ignore' })
  writeFileSync(both, readFileSync(certificate, 'utf8') + readFileSync(key, 'utf8'))
  const address = gateway.replace('http://', '')

  const nginxPort = await freePort()
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${dir}/${name};`).join(' ')
  writeFileSync(join(dir, 'nginx.conf'), `daemon off; master_process off; pid ${dir}/pid; error_log stderr; events { worker_connections 256; }
http { access_log off; gzip on; gzip_types *; ${temporary}
${configuration('nginx', { '127.0.0.1:3001': address, '443': `127.0.0.1:${nginxPort}`, '/etc/ssl/site.pem': certificate, '/etc/ssl/site.key': key })} }`)

  const haproxyPort = await freePort()
  writeFileSync(join(dir, 'haproxy.cfg'), `defaults
  mode http
  timeout connect 60s
  timeout client 60s
  timeout server 60s
${configuration('haproxy', { '127.0.0.1:3001': address, ':443': `127.0.0.1:${haproxyPort}`, '/etc/ssl/site-and-key.pem': both })}`)

  return Promise.all([
    start('nginx', nginxPort, ['nginx', '-p', dir, '-e', 'stderr', '-c', join(dir, 'nginx.conf')]),
    start('HAProxy', haproxyPort, ['haproxy', '-db', '-n', '256', '-f', join(dir, 'haproxy.cfg')]),
  ])
}

async function start(name: string, port: number, command: string[]): Promise<SecureProxy> {
  // Where Debian has both; the path of a user who is not root lacks it.
  const server = new Server(port, command, { PATH: `${process.env['PATH']}:/usr/sbin` }, listens)
  await server.start()
  return { name, url: `https://127.0.0.1:${port}`, server }
}

function listens({ port }: Server): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}
