import { once } from 'node:events'
import { connect } from 'node:net'
import { Server } from '../../publisher/test/support/servers.js'

/** The MongoDB-protocol server of the development stack, as a process. */
export async function mongo(programs: string, dir: string, port: number): Promise<Server> {
  const command = [`${programs}realtime-dev`, 'mongo', '--listen', `127.0.0.1:${port}`, '--dir', dir]
  const server = new Server(port, command, {}, async ({ output }) => output.includes('mongodb://'))
  await server.start()
  return server
}

/** Removes the documents of a collection that match, as somebody with a shell of MongoDB does. */
export async function removeDocuments(port: number, database: string, collection: string, match: object): Promise<void> {
  const body = document({ delete: collection, deletes: [{ q: match, limit: 0 }], $db: database })
  const header = Buffer.alloc(21) // with the flags and the kind of the only section, which are 0
  header.writeInt32LE(header.length + body.length, 0)
  header.writeInt32LE(1, 4)
  header.writeInt32LE(2013, 12) // OP_MSG
  const socket = connect(port, '127.0.0.1')
  try {
    socket.write(Buffer.concat([header, body]))
    const [answer] = (await once(socket, 'data', { signal: AbortSignal.timeout(60_000) })) as [Buffer]
    const at = answer.indexOf('\x10n\0', 0, 'latin1')
    if (at < 0 || answer.readInt32LE(at + 3) === 0) throw new Error(`nothing was removed: ${answer.toString('latin1')}`)
  } finally {
    socket.destroy()
  }
}

/** BSON of the few types that a command needs. */
function document(fields: object): Buffer {
  const elements = Object.entries(fields).map(([name, value]: [string, unknown]) => {
    const element = (type: number, bytes: Buffer) => Buffer.concat([Buffer.from([type]), Buffer.from(`${name}\0`), bytes])
    if (typeof value === 'number') return element(0x10, int32(value))
    if (typeof value === 'string') return element(0x02, Buffer.concat([int32(Buffer.byteLength(value) + 1), Buffer.from(`${value}\0`)]))
    return element(Array.isArray(value) ? 0x04 : 0x03, document(value as object))
  })
  const length = elements.reduce((sum, { length: size }) => sum + size, 5)
  return Buffer.concat([int32(length), ...elements, Buffer.from([0])])
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32LE(value)
  return bytes
}
