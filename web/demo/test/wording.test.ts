import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { badgeOf, countdown, gapWording, wordingOf, wordings } from '../src/wording.js'

/** The codes in capitals that have a section of their own in the page about errors. */
const documented = [...readFileSync(new URL('../../../docs/errors.md', import.meta.url), 'utf8').matchAll(/^### (.*`)$/gm)]
  .flatMap(([, heading]) => [...(heading as string).matchAll(/`([A-Z_]+)`/g)].map(([, code]) => code as keyof typeof wordings))

test('there are words for every documented code', () => {
  expect(documented.length).toBeGreaterThan(20)
  for (const code of documented) expect(wordings[code], code).toBeDefined()
})

test('no words show a code, or the text that is meant for logs', () => {
  for (const { title, text } of Object.values(wordings)) {
    expect(title).not.toMatch(/[A-Z]{2}|_|\.$/)
    expect(text).not.toMatch(/[A-Z]{2}|_/)
    expect(text).toMatch(/\.$/)
  }
})

test('the cap on subscriptions is told with its figure', () => {
  const reason = { code: 'SUBSCRIPTION_LIMIT_REACHED', message: '' } as const
  expect(wordingOf({ ...reason, limit: 1 }).text).toMatch(/^One job can/)
  expect(wordingOf({ ...reason, limit: 20 }).text).toMatch(/^20 jobs can/)
  expect(wordingOf(reason).text).toMatch(/^Stop following/)
})

test('history that was erased is not told as one that was missed', () => {
  expect(gapWording('erased', 'Tides').title).toBe('The history of “Tides” was erased')
  expect(gapWording('retention', 'Tides').title).toBe('Part of “Tides” is gone')
  expect(gapWording('epoch-changed', 'Tides').title).toBe('“Tides” begins anew')
})

test('a code of a later service gets words that are true of any', () => {
  expect(wordingOf({ code: 'NEWER_THAN_THIS_PAGE' as never, message: '' })).toBe(wordings.INTERNAL)
})

test.each([
  [{ state: 'live', transport: 'websocket' }, 'Live'],
  [{ state: 'live', transport: 'sse' }, 'Live, by event stream'],
  [{ state: 'live', transport: 'rest' }, 'Every few seconds'],
  [{ state: 'refused' }, 'Waiting for a place'],
  [{ state: 'offline' }, 'Offline'],
] as const)('the badge of %o', (status, word) => {
  expect(badgeOf(status)).toBe(word)
})

test('a countdown counts up to the end and no further', () => {
  expect(countdown(10_000, 7_500)).toBe('Next try in 3 s')
  expect(countdown(10_000, 9_999)).toBe('Next try in 1 s')
  expect(countdown(10_000, 10_000)).toBe('')
  expect(countdown(600_000, 0)).toBe('Next try in 10 min')
  expect(countdown(undefined, 0)).toBe('')
})
