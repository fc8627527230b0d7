import { readdirSync, readFileSync } from 'node:fs'
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { describe, expect, test } from 'vitest'
import { encode } from '../src/check.js'
import { domainEvent, type Envelope, generationEvent, jobStatus, RejectedError, statuses } from '../src/index.js'
import { isReceipt } from '../src/receipt.js'

// The schemas that the gateway itself validates with.
const folder = new URL('../../../messaging/schemas/', import.meta.url)
const ajv = new Ajv2020({ strict: false, unicodeRegExp: true })
addFormats.default(ajv)
for (const name of readdirSync(folder).filter((name) => name.endsWith('.v1.json'))) {
  ajv.addSchema(JSON.parse(readFileSync(new URL(name, folder), 'utf8')))
}
const schema = (name: string) => {
  const validate = ajv.getSchema(`https://github.com/letswriteabook/realtime/schemas/${name}.v1.json`)
  if (!validate) throw new Error(`no schema ${name}`)
  return validate
}

const rules = { kinds: ['custom'], maxEventBytes: 1_000_000 }
const body = { type: 'step', occurredAt: '2026-01-01T00:00:00Z' }

/** What a type says, told by the compiler: these would not compile if a field were missing. */
const typed: Envelope[] = [
  generationEvent('job', { ...body, chapter: 7 }),
  domainEvent('job', body, { id: 'x', emittedAt: '2026-02-28T23:59:59.123456+01:00' }),
  ...statuses.map((status) => jobStatus('job', status)),
  jobStatus('job', 'failed', null),
  jobStatus('job', 'running', { chapter: 7 }, { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' }),
  { ...domainEvent('é'.repeat(128), body), extra: [1, { two: null }] },
]

test.each(typed)('%o is taken, and the schema of its kind agrees', (envelope) => {
  const text = encode(envelope, envelope.id ?? 'an-id', rules)
  const validate = schema(envelope.kind)
  expect(validate(JSON.parse(text)), JSON.stringify(validate.errors)).toBe(true)
  expect(JSON.parse(text)).toEqual({ ...envelope, version: 1, id: envelope.id ?? 'an-id' })
})

describe('what one field may be, as the schema says', () => {
  const values: unknown[] = [undefined, null, '', 'x', 'running', 0, 1, 1.5, -1, true, [], {}, body, { type: '', occurredAt: 'x' }, { type: 't' },
    { type: 1, occurredAt: 'x' }, 'a\u0000b', 'a\u0085b', 'a'.repeat(257), '2026-01-01T00:00:00Z', '2026-02-30T00:00:00Z', '2026-01-01']
  const bases: Record<string, unknown>[] = [
    { kind: 'domain', jobId: 'job', event: body },
    { kind: 'generation', jobId: 'job', event: body },
    { kind: 'job-status', jobId: 'job', status: 'queued', snapshot: {} },
  ]
  const cases = bases.flatMap((base) => ['version', 'jobId', 'event', 'status', 'snapshot', 'emittedAt'].map((field) => ({ base, field })))
  test.each(cases)('$field of $base.kind', ({ base, field }) => {
    for (const value of values) {
      const envelope = { ...base, [field]: value } as unknown as Envelope
      const wire = JSON.parse(JSON.stringify({ ...envelope, id: 'i' })) as Record<string, unknown>
      const allowed = schema(base.kind as string)(wire)
      let taken = true
      try {
        encode(envelope, 'i', rules)
      } catch (error) {
        expect(error).toBeInstanceOf(RejectedError)
        taken = false
      }
      // A version of null is not sent as null: it is filled in like an absent one.
      if (field === 'version' && value === null) continue
      expect(taken, `${field} ${JSON.stringify(value)}`).toBe(allowed)
    }
  })
})

// What a schema cannot say, and the gateway checks beside it.
test.each([
  ['too-large', domainEvent('job', { ...body, text: 'x'.repeat(1_000_000) })],
  ['unsupported-version', { ...domainEvent('job', body), version: 2 }],
  ['unknown-kind', { kind: 'nobody-knows', jobId: 'job' }],
  ['schema-violation', domainEvent('é'.repeat(129), body)],
  ['schema-violation', domainEvent('a\ud800', body)],
  ['schema-violation', domainEvent('job', { ...body, deep: nested(89) })],
  ['invalid-json', domainEvent('job', { ...body, big: 1n })],
  ['invalid-json', domainEvent('job', { ...body, ...cycle() })],
] as [string, Envelope][])('%s', (reason, envelope) => {
  expect(() => encode(envelope, 'i', rules)).toThrow(expect.objectContaining({ name: 'RejectedError', reason }) as Error)
})

test('the bounds themselves are taken', () => {
  const head = encode(domainEvent('job', { ...body, text: '' }), 'i', rules).length
  expect(encode(domainEvent('job', { ...body, text: 'x'.repeat(1_000_000 - head) }), 'i', rules)).toHaveLength(1_000_000)
  encode(domainEvent('job', { ...body, deep: nested(88) }), 'i', rules)
  encode({ kind: 'custom', jobId: 'job' }, 'é'.repeat(64), rules)
  expect(() => encode({ kind: 'custom', jobId: 'job' }, 'é'.repeat(65), rules)).toThrow('id: ')
})

test('a receipt is what its schema says', () => {
  const good = { id: 'a', jobId: 'job', sequence: 1, duplicate: false }
  for (const value of [good, { ...good, more: 1 }, { ...good, id: '' }, { ...good, sequence: 0 }, { ...good, sequence: 1.5 }, { ...good, duplicate: 1 }, {}, [], null]) {
    expect(isReceipt(value), JSON.stringify(value)).toBe(schema('receipt')(value))
  }
})

function nested(levels: number): unknown {
  return levels === 0 ? 1 : { in: nested(levels - 1) }
}

function cycle(): Record<string, unknown> {
  const value: Record<string, unknown> = {}
  value['self'] = value
  return value
}
