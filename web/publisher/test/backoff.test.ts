import { expect, test } from 'vitest'
import { backoff } from '../src/backoff.js'

test.each([
  [1, 100],
  [2, 200],
  [6, 3200],
  [7, 5000],
  [1_000_000, 5000],
])('the pause after attempt %d is %d ms, give or take a quarter', (n, plain) => {
  expect(backoff(n, 100, 5000, () => 0.5)).toBe(plain)
  expect(backoff(n, 100, 5000, () => 0)).toBe(plain * 0.75)
  expect(backoff(n, 100, 5000, () => 0.999_999)).toBeLessThanOrEqual(plain * 1.25)
})
