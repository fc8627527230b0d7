// Drives real Socket.IO clients for the tests of a process that is not written
// in JavaScript. It reads one command a line on standard input, as JSON, and
// writes one line for everything that happens to a client, as JSON:
//
//   in   {"op":"connect","client":"a","url":"http://127.0.0.1:3001","options":{"path":"/ws"}}
//        {"op":"subscribe","client":"a","jobId":"job","since":7,"ack":true}
//        {"op":"unsubscribe","client":"a","jobId":"job","ack":true}
//        {"op":"ping","client":"a"}
//        {"op":"emit","client":"a","event":"name","args":[1],"ack":true}
//        {"op":"cut","client":"a"}          the connection breaks, unannounced
//        {"op":"disconnect","client":"a"}   the client leaves politely
//        {"op":"reconnect","client":"a"}    it connects again, after either end said goodbye
//        {"op":"stream","client":"a","url":"http://127.0.0.1:3001","jobId":"job"}   an EventSource
//
//   out  {"client":"a","event":"novel.job-status","args":[{…}]}
//        {"client":"a","event":"connect","args":[{"id":…,"recovered":…,"transport":…,"extensions":…}]}
//        {"client":"a","event":"upgrade","args":["websocket"]}
//        {"client":"a","event":"connect_error","args":[{"message":…,"data":…}]}
//        {"client":"a","event":"disconnect","args":["transport close"]}
//        {"client":"a","event":"ack","args":[{…}]}
//
// Options go to the client unchanged; "version": 3 in a connect command takes
// socket.io-client 3. With "always": {"jobs":["job"],"since":true} the client
// subscribes on every connect, from where it was if since is set. The end of
// standard input disconnects every client and ends the process. A command it
// cannot carry out ends it with status 2.

import { createInterface } from 'node:readline'
import { EventSource } from 'eventsource'
import { io } from 'socket.io-client'
import { io as io3 } from 'socket.io-client-v3'

const clients = new Map()

// Events of these names are reported by their own listeners below.
const lifecycle = new Set(['connect', 'connect_error', 'disconnect', 'upgrade'])

function report(client, event, ...args) {
  process.stdout.write(JSON.stringify({ client, event, args }) + '\n')
}

function connect({ client, url, options = {}, version = 4, always }) {
  if (clients.has(client)) {
    throw new Error(`client ${client} exists already`)
  }
  const open = version === 3 ? io3 : io
  // forceNew: clients of one test must not share a connection.
  const socket = open(url, { forceNew: true, ...options })
  clients.set(client, socket)
  socket.on('connect', () => {
    const { engine } = socket.io
    report(client, 'connect', {
      id: socket.id,
      recovered: socket.recovered ?? false,
      transport: engine.transport.name,
      extensions: engine.transport.ws?.extensions ?? '',
    })
    engine.once('upgrade', (transport) => report(client, 'upgrade', transport.name))
  })
  if (always) {
    subscribeAlways(socket, always)
  }
  socket.on('connect_error', (error) => {
    report(client, 'connect_error', { message: error.message, data: error.data ?? null })
  })
  socket.on('disconnect', (reason) => report(client, 'disconnect', reason))
  socket.onAny((event, ...args) => {
    if (!lifecycle.has(event)) {
      report(client, event, ...args)
    }
  })
}

// subscribeAlways does what many applications do: their connect listener
// subscribes, whether or not the session was recovered.
function subscribeAlways(socket, { jobs, since }) {
  const last = new Map() // the newest sequence, by job
  socket.onAny((event, payload) => {
    if (payload?.sequence) {
      last.set(payload.jobId, payload.sequence)
    }
  })
  socket.on('connect', () => {
    for (const jobId of jobs) {
      socket.emit('subscribe', { jobId, since: since ? last.get(jobId) : undefined })
    }
  })
}

// What an event stream may carry; an EventSource has no listener for every name.
const streamed = [
  'novel.generation-event', 'novel.domain-event', 'novel.job-status',
  'novel.caught-up', 'novel.gap', 'novel.error',
]

// stream opens an EventSource, which reconnects by itself. Its "disconnect" has
// the state in which it is then: 0 while it tries again, 2 when it has given up.
function stream({ client, url, jobId }) {
  const source = new EventSource(new URL(`api/realtime/stream?jobId=${encodeURIComponent(jobId)}`, url))
  clients.set(client, { disconnect: () => source.close() })
  source.addEventListener('open', () => report(client, 'connect', {}))
  source.addEventListener('error', () => report(client, 'disconnect', source.readyState))
  for (const name of streamed) {
    source.addEventListener(name, (event) => report(client, name, JSON.parse(event.data)))
  }
}

function emit({ client, ack = false }, event, ...args) {
  const socket = known(client)
  if (ack) {
    args.push((answer) => report(client, 'ack', answer))
  }
  socket.emit(event, ...args)
}

// cut closes the transport under the client, as a network that goes away does.
function cut({ client }) {
  const { transport } = known(client).io.engine
  if (transport.ws) {
    transport.ws.terminate()
  } else {
    transport.onError('cut')
  }
}

function disconnect({ client }) {
  known(client).disconnect()
}

function known(client) {
  const socket = clients.get(client)
  if (!socket) {
    throw new Error(`there is no client ${client}`)
  }
  return socket
}

const operations = {
  connect,
  stream,
  disconnect,
  reconnect: ({ client }) => known(client).connect(),
  cut,
  subscribe: (command) => emit(command, 'subscribe', { jobId: command.jobId, since: command.since }),
  unsubscribe: (command) => emit(command, 'unsubscribe', { jobId: command.jobId }),
  ping: (command) => emit(command, 'ping'),
  emit: (command) => emit(command, command.event, ...(command.args ?? [])),
}

for await (const line of createInterface({ input: process.stdin })) {
  try {
    const command = JSON.parse(line)
    const operation = operations[command.op]
    if (!operation) {
      throw new Error(`unknown op ${command.op}`)
    }
    operation(command)
  } catch (error) {
    process.stderr.write(`${line}: ${error.message}\n`)
    process.exit(2)
  }
}
for (const socket of clients.values()) {
  socket.disconnect()
}
