import type { Answer } from './api/client.js'

export type Note = Answer<'/job/stages'>['items'][number]

/** The way of one event, as the processes recorded it: times in milliseconds since 1970. */
export interface Way {
  sequence: number
  /** When a process received the event, and from where: redis or http. */
  receivedAt: number | undefined
  receivedFrom: string | undefined
  /** When each projection wrote it to MongoDB, and in how many seconds. */
  projections: { gateway: string; at: number; name: string; seconds: number }[]
  /** Which gateways missed it live, and read it from the log. */
  repairs: { gateway: string; at: number }[]
  /** When a process began to store the event, when the log had it, and which process that was. */
  loggingAt: number | undefined
  loggedAt: number | undefined
  storedBy: string | undefined
  /** How often the event came again afterwards. */
  duplicates: number
  /** The delivery at each gateway, the first one first. */
  deliveries: { gateway: string; at: number; receivers: number; fellBack: number }[]
}

/** Groups notes by event, the newest event first. */
export function ways(notes: readonly Note[]): Way[] {
  const found = new Map<number, Way>()
  // An event is received before it has a sequence: its id says which one it is of.
  const received = new Map(notes.filter(({ stage, id }) => stage === 'received' && id).map((note) => [note.id, note]))
  for (const note of notes) {
    if (!note.sequence) continue
    let way = found.get(note.sequence)
    if (!way) {
      way = { sequence: note.sequence, loggingAt: undefined, loggedAt: undefined, storedBy: undefined, duplicates: 0, deliveries: [],
        receivedAt: undefined, receivedFrom: undefined, projections: [], repairs: [] }
      found.set(note.sequence, way)
    }
    const at = Date.parse(note.at)
    const arrival = note.id ? received.get(note.id) : undefined
    if (arrival) {
      way.receivedAt = Date.parse(arrival.at)
      way.receivedFrom = arrival.detail
    }
    if (note.stage === 'delivered') {
      way.deliveries.push({ gateway: note.gateway, at, receivers: note.receivers ?? 0, fellBack: note.fellBack ?? 0 })
    } else if (note.stage === 'projected') {
      way.projections.push({ gateway: note.gateway, at, name: note.detail ?? '', seconds: note.tookSeconds ?? 0 })
    } else if (note.stage === 'repaired') {
      way.repairs.push({ gateway: note.gateway, at })
    } else if (note.stage === 'logging') {
      way.loggingAt = Math.min(way.loggingAt ?? at, at)
    } else if (note.stage === 'logged' && note.duplicate) {
      way.duplicates++
    } else if (note.stage === 'logged') {
      way.loggedAt = at
      way.storedBy = note.gateway
    }
  }
  for (const { deliveries } of found.values()) deliveries.sort((a, b) => a.at - b.at)
  return [...found.values()].sort((a, b) => b.sequence - a.sequence)
}

/** A stage of a way: when it was reached. */
export interface Stage {
  name: string
  where: string
  at: number
  note: string
}

/** The stages of an event in their order, from what the worker wrote to the last delivery. */
export function stages(way: Way | undefined, emittedAt: string, storedAt: string): Stage[] {
  const all: Stage[] = []
  const add = (name: string, where: string, at: number | undefined, note = '') => {
    if (at !== undefined && Number.isFinite(at)) all.push({ name, where, at, note })
  }
  add('Emitted', 'worker', Date.parse(emittedAt))
  add('Received', way?.storedBy ?? '', way?.receivedAt, way?.receivedFrom === 'http' ? 'over HTTP' : way?.receivedFrom === 'redis' ? 'from Redis' : '')
  add('Being stored', way?.storedBy ?? '', way?.loggingAt)
  if (way?.loggedAt === undefined) add('In the log', '', Date.parse(storedAt))
  else add('In the log', way.storedBy ?? '', way.loggedAt, way.duplicates > 0 ? `came ${way.duplicates} more ${way.duplicates === 1 ? 'time' : 'times'}` : '')
  for (const { gateway, at } of way?.repairs ?? []) add('Repaired', gateway, at, 'missed live, read from the log')
  for (const { gateway, at, receivers, fellBack } of way?.deliveries ?? []) {
    add('Delivered', gateway, at, `${receivers} ${receivers === 1 ? 'client' : 'clients'}${fellBack > 0 ? `, ${fellBack} with a full queue` : ''}`)
  }
  for (const { gateway, at, name, seconds } of way?.projections ?? []) add('In MongoDB', gateway, at, `${name}${seconds > 0 ? `, written in ${Math.round(seconds * 1e4) / 10} ms` : ''}`)
  return all
}
