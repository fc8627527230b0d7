// The way pages were written before there was a typed client: socket.io-client
// alone, a subscribe on every connect, the three events and novel.error. It is
// here to stay as it is: a page like it has to go on working.
import { io } from '/lib/socket.io.esm.min.js'

const { gateway, jobId } = await (await fetch('/config.json')).json()
const socket = io(gateway, { path: '/ws', transports: ['websocket'] })
const $ = (id) => document.getElementById(id)

function append(list, text) {
  const item = document.createElement('li')
  item.textContent = text
  list.append(item)
}

socket.on('connect', () => {
  $('socket').textContent = 'connected'
  $('connects').textContent = Number($('connects').textContent) + 1
  socket.emit('subscribe', { jobId })
})
socket.on('disconnect', () => { $('socket').textContent = 'disconnected' })
socket.on('novel.generation-event', ({ event }) => append($('events'), `generation ${event.type} ${event.n}`))
socket.on('novel.domain-event', ({ event }) => append($('events'), `domain ${event.type} ${event.n}`))
socket.on('novel.job-status', ({ status, snapshot }) => {
  $('status').textContent = status
  append($('events'), `status ${status} ${snapshot.n}`)
})
socket.on('novel.error', ({ message }) => append($('errors'), message))
$('nothing').addEventListener('click', () => socket.emit('subscribe', {}))
