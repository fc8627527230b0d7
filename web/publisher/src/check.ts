import { type Envelope, protocolVersion, statuses } from './envelope.js'
import { RejectedError } from './errors.js'

/** The length of the longest id, in bytes of UTF-8. */
export const maxIdBytes = 128
/** The length of the longest jobId, in bytes of UTF-8. */
export const maxJobIdBytes = 256
/** How deep an envelope may nest, itself included. */
export const maxDepth = 90

const eventKinds = new Set(['generation', 'domain'])
const rfc3339 = /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$/

/** The settings of the gateways that the check depends on. */
export interface Rules {
  /** Further kinds of the gateway's catalogue; their bodies are left to the gateway. */
  kinds: readonly string[]
  /** The gateway's MAX_EVENT_BYTES. */
  maxEventBytes: number
}

/**
 * Returns the JSON of an envelope that a gateway accepts, with the given id and
 * with `version`. It makes the checks of a gateway, because over Redis most
 * refused events get no answer.
 *
 * @throws RejectedError says which field is wrong.
 */
export function encode(envelope: Envelope, id: string, rules: Rules): string {
  let text: string | undefined
  let decoded: unknown
  try {
    text = JSON.stringify({ ...envelope, version: envelope.version ?? protocolVersion, id })
    // The checks use the JSON that is sent, after the effects of toJSON, undefined and NaN.
    decoded = JSON.parse(text)
  } catch (error) {
    throw new RejectedError('invalid-json', error instanceof Error ? error.message : String(error))
  }
  const bytes = Buffer.byteLength(text)
  if (bytes > rules.maxEventBytes) {
    throw new RejectedError('too-large', `${bytes} bytes: at most ${rules.maxEventBytes} are allowed`)
  }
  checkFields(decoded as Record<string, unknown>, rules)
  return text
}

/** Reports whether two results of {@link encode} are the same event, perhaps published in different traces. */
export function sameEvent(a: string, b: string): boolean {
  const untraced = (text: string) => JSON.stringify({ ...JSON.parse(text) as object, traceparent: undefined })
  return a === b || untraced(a) === untraced(b)
}

function checkFields(fields: Record<string, unknown>, rules: Rules): void {
  const { version, kind, jobId, id, emittedAt, event, status, snapshot } = fields
  if (!Number.isInteger(version) || (version as number) < 1) violation('version', 'must be a whole number of 1 or more')
  if ((version as number) > protocolVersion) {
    throw new RejectedError('unsupported-version', `version ${version}: at most ${protocolVersion} is supported`)
  }
  if (typeof kind !== 'string' || kind === '') violation('kind', 'must be a non-empty string')
  if (!isText(jobId, maxJobIdBytes) || jobId === '' || /\p{Cc}/u.test(jobId)) {
    violation('jobId', `must be a non-empty string of at most ${maxJobIdBytes} bytes without control characters`)
  }
  if (!isText(id, maxIdBytes) || id === '') violation('id', `must be a string of at most ${maxIdBytes} bytes`)
  if (emittedAt !== undefined && !isTime(emittedAt)) violation('emittedAt', 'must be an RFC 3339 time')
  if (depth(fields, maxDepth) > maxDepth) violation('envelope', `nested too deep: at most ${maxDepth} levels are allowed`)

  if (eventKinds.has(kind)) checkEvent(event)
  else if (kind === 'job-status') checkStatus(status, snapshot)
  else if (!rules.kinds.includes(kind)) throw new RejectedError('unknown-kind', `kind ${JSON.stringify(kind)}`)
}

function checkEvent(event: unknown): void {
  if (!isObject(event)) violation('event', 'must be an object')
  for (const name of ['type', 'occurredAt']) {
    if (typeof event[name] !== 'string' || event[name] === '') violation(`event.${name}`, 'must be a non-empty string')
  }
}

function checkStatus(status: unknown, snapshot: unknown): void {
  if (!(statuses as readonly unknown[]).includes(status)) violation('status', `must be one of ${statuses.join(', ')}`)
  if (snapshot !== undefined && snapshot !== null && !isObject(snapshot)) violation('snapshot', 'must be an object or null')
}

function violation(field: string, rule: string): never {
  throw new RejectedError('schema-violation', `${field}: ${rule}`)
}

/** Half of a surrogate pair is not valid text: gateways refuse it, because decoders replace it. */
function isText(value: unknown, maxBytes: number): value is string {
  return typeof value === 'string' && Buffer.byteLength(value) <= maxBytes && !/\p{Surrogate}/u.test(value)
}

function isTime(value: unknown): boolean {
  if (typeof value !== 'string' || !rfc3339.test(value)) return false
  // The pattern accepts 31 February.
  const day = new Date(`${value.slice(0, 10)}T00:00:00Z`)
  return day.toISOString().startsWith(value.slice(0, 10))
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** How deep a value nests, counted no further than one past the limit. */
function depth(value: unknown, limit: number): number {
  if (typeof value !== 'object' || value === null) return 0
  if (limit === 0) return 1
  let deepest = 0
  for (const member of Object.values(value)) deepest = Math.max(deepest, depth(member, limit - 1))
  return deepest + 1
}
