import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { parseReceipt } from '../src/receipt.js'

// The messages as gateways write them, with the key that they were signed with.
const fixture = (name: string) => readFileSync(new URL(`../../../messaging/testdata/v1/receipts/${name}.json`, import.meta.url), 'utf8')
const key = 'a secret of producers and gateways'
const receipt = { id: 'é/1', jobId: 'job 7', sequence: 42, duplicate: true }
const refusal = { id: 'é/1', jobId: 'job 7', reason: 'id-conflict' }

test('receipts and refusals are read', () => {
  expect(parseReceipt(fixture('receipt'), '')).toMatchObject(receipt)
  expect(parseReceipt(fixture('refusal'), '')).toEqual(refusal)
  expect(parseReceipt(fixture('receipt-signed'), '')).toMatchObject(receipt)
  expect(parseReceipt(fixture('receipt-signed'), key)).toMatchObject(receipt)
  expect(parseReceipt(fixture('refusal-signed'), key)).toEqual(refusal)
})

test('with a secret, what is not signed with it is ignored', () => {
  for (const text of [
    fixture('receipt'),
    fixture('refusal'),
    fixture('receipt-signed').replace('"sequence":42', '"sequence":43'),
    fixture('receipt-signed').replace('"job 7"', '"job 8"'),
    fixture('receipt-signed').replace('"sequence":42', '"sequence":42,"error":"ID_CONFLICT"'),
    fixture('receipt-signed').replace(/"mac":"[^"]*"/, '"mac":"é"'),
  ]) {
    expect(parseReceipt(text, key), text).toBeUndefined()
  }
  expect(parseReceipt(fixture('receipt-signed'), 'another key')).toBeUndefined()
})

test.each(['', 'null', '[]', '1', '{"id":"a","jobId":"b"}', '{"id":"a","jobId":"b","error":"UNHEARD_OF"}'])('%j is neither', (text) => {
  expect(parseReceipt(text, '')).toBeUndefined()
})
