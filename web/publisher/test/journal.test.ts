import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { JournalError } from '../src/index.js'
import { Journal } from '../src/journal.js'

let dir: string
let journal: Journal | undefined

const open = (fsync = false) => {
  journal?.close()
  journal = new Journal(dir, fsync)
  return journal
}
const body = (id: string, text = '') => JSON.stringify({ jobId: 'job', id, text })
const file = () => join(dir, 'outbox.ndjson')

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'publisher-'))
})

afterEach(() => {
  journal?.close()
  journal = undefined
  rmSync(dir, { recursive: true })
})

test.each([false, true])('what was added and not removed is there again, in order (fsync: %s)', (fsync) => {
  open(fsync)
  for (const id of ['a', 'b', 'c', 'd "\n"']) journal?.add('job', id, body(id, 'naïve\n'))
  journal?.remove('job', 'b')
  journal?.remove('job', 'nobody')
  open(fsync)
  expect(journal?.pending()).toEqual(['a', 'c', 'd "\n"'].map((id) => ({ jobId: 'job', id, body: body(id, 'naïve\n') })))
  journal?.add('job', 'b', body('b'))
  expect(open(fsync).pending().map(({ id }) => id)).toEqual(['a', 'c', 'd "\n"', 'b'])
})

test('a last line that was torn at any byte is cut off, and nothing else', () => {
  open().add('job', 'a', body('a'))
  const whole = readFileSync(file())
  const next = Buffer.from(`+${body('b', 'é')}\n`)
  for (let length = 0; length < next.length; length++) {
    journal?.close()
    writeFileSync(file(), Buffer.concat([whole, next.subarray(0, length)]))
    expect(open().pending().map(({ id }) => id)).toEqual(['a'])
    expect(readFileSync(file())).toEqual(whole)
  }
})

test('a line in the middle that is damaged is not passed over', () => {
  open().add('job', 'a', body('a'))
  journal?.close()
  for (const line of ['', 'x', '+', '+{}', '+null', '-{}', '*"a"']) {
    writeFileSync(file(), `${line}\n+${body('b')}\n`)
    expect(() => new Journal(dir, false)).toThrow(/line 1 of 2 is damaged/)
    expect(readFileSync(file(), 'utf8')).toContain(body('b'))
    expect(existsSync(join(dir, 'outbox.lock'))).toBe(false)
  }
})

test('one id may wait for two jobs, and an end without a job is that of the last event with the id', () => {
  const other = JSON.stringify({ jobId: 'other', id: 'a' })
  open().add('job', 'a', body('a'))
  journal?.add('other', 'a', other)
  journal?.remove('job', 'a')
  expect(open().pending()).toEqual([{ jobId: 'other', id: 'a', body: other }])
  journal?.close()
  writeFileSync(file(), `+${body('a')}\n+${body('b')}\n-"a"\n-"nobody"\n`)
  expect(open().pending().map(({ id }) => id)).toEqual(['b'])
})

test('the file does not grow with what has left', () => {
  open().add('job', 'first', body('first'))
  const text = 'x'.repeat(10_000)
  for (let n = 0; n < 1000; n++) {
    journal?.add('job', `${n}`, body(`${n}`, text))
    journal?.remove('job', `${n}`)
  }
  expect(statSync(file()).size).toBeLessThan(2 << 20)
  appendFileSync(file(), '') // the file that is there is the one that is written
  journal?.add('job', 'last', body('last'))
  expect(open().pending().map(({ id }) => id)).toEqual(['first', 'last'])
})

test('a folder belongs to one publisher', () => {
  open()
  expect(() => new Journal(dir, false)).toThrow(/another publisher of this process/)
  journal?.close()
  journal = undefined
  writeFileSync(join(dir, 'outbox.lock'), `${process.ppid}\n`) // somebody who lives
  expect(() => new Journal(dir, false)).toThrow(JournalError)
  for (const stale of ['', '4194305', `${process.pid}`]) {
    writeFileSync(join(dir, 'outbox.lock'), stale)
    open().close()
    journal = undefined
  }
})

test('a write that fails keeps nothing, and says so', () => {
  open().close()
  expect(() => journal?.add('job', 'a', body('a'))).toThrow(JournalError)
  expect(journal?.pending()).toEqual([])
})
