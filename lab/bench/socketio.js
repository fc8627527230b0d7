// A Socket.IO server that sends the events of a Redis channel to the clients of their jobs.
// It reads Redis with a subscription of its own, so that it needs no package but socket.io.
'use strict';
const { createServer } = require('node:http');
const net = require('node:net');
const { Server } = require('socket.io');

const [host, port, redisHost, redisPort, channel] = process.argv.slice(2);

const server = createServer((request, response) => {
  const { user, system } = process.cpuUsage();
  response.end(
    `process_cpu_seconds_total ${(user + system) / 1e6}\nprocess_resident_memory_bytes ${process.memoryUsage.rss()}\n` +
      'process_open_fds 0\ngo_goroutines 0\n',
  );
});
const io = new Server(server, { path: '/ws', addTrailingSlash: false, cors: { origin: '*' } });
io.on('connection', (socket) => {
  socket.on('subscribe', ({ jobId }) => {
    socket.join(jobId);
    socket.emit('novel.subscribed', { jobId });
  });
});

// A message of a subscription is *3, and three strings, each with its length in bytes before it.
const redis = net.connect({ host: redisHost, port: Number(redisPort) }, () => redis.write(`SUBSCRIBE ${channel}\r\n`));
let rest = Buffer.alloc(0);
let strings = [];
redis.on('data', (data) => {
  rest = Buffer.concat([rest, data]);
  for (let end = rest.indexOf('\r\n'); end >= 0; end = rest.indexOf('\r\n')) {
    const line = rest.toString('utf8', 0, end);
    let next = end + 2;
    if (line[0] === '*') {
      strings = [];
    } else if (line[0] === ':') {
      server.listen(Number(port), host); // the subscription is confirmed
    } else if (line[0] === '$') {
      next += Number(line.slice(1)) + 2;
      if (rest.length < next) return;
      strings.push(rest.toString('utf8', end + 2, next - 2));
      if (strings[0] === 'message' && strings.length === 3) {
        const envelope = JSON.parse(strings[2]);
        io.to(envelope.jobId).emit('novel.domain-event', { jobId: envelope.jobId, event: envelope.event });
      }
    }
    rest = rest.subarray(next);
  }
});
redis.on('error', (err) => {
  console.error(err);
  process.exit(1);
});
