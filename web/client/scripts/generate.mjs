// Writes src/generated.ts: the types of what a client sends and receives, from
// messaging/schemas. `npm run generate` after a change there; a test compares.
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { compile } from 'json-schema-to-typescript'

const schemas = new URL('../../../messaging/schemas/', import.meta.url)
const target = new URL('../src/generated.ts', import.meta.url)

/** Schema and the name of its type. */
const types = [
  ['generation-payload', 'GenerationPayload'],
  ['domain-payload', 'DomainPayload'],
  ['job-status-payload', 'JobStatusPayload'],
  ['caught-up', 'CaughtUp'],
  ['gap', 'Gap'],
  ['error', 'ErrorPayload'],
  ['subscribe', 'SubscribeRequest'],
  ['subscribed', 'Subscribed'],
  ['unsubscribe', 'UnsubscribeRequest'],
  ['unsubscribed', 'Unsubscribed'],
  ['pong', 'Pong'],
]

/** Titles of properties would become types of their own, with numbers at their ends. */
function untitled(schema) {
  if (Array.isArray(schema)) return schema.map(untitled)
  if (schema === null || typeof schema !== 'object') return schema
  const rest = Object.entries(schema).filter(([key, value]) => key !== '$id' && key !== 'examples' && !(key === 'title' && typeof value === 'string'))
  return Object.fromEntries(rest.map(([key, value]) => [key, untitled(value)]))
}

/** The text of src/generated.ts. */
export async function generate() {
  const parts = ['/* Written by scripts/generate.mjs from messaging/schemas. Change those, not this file. */\n']
  for (const [file, name] of types) {
    const schema = JSON.parse(readFileSync(new URL(`${file}.v1.json`, schemas), 'utf8'))
    const options = { bannerComment: '', style: { semi: false, singleQuote: true, printWidth: 120 } }
    parts.push(await compile({ ...untitled(schema), title: name }, name, options))
  }
  return parts.join('\n')
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  writeFileSync(target, await generate())
  console.log(`wrote ${fileURLToPath(target)}`)
}
