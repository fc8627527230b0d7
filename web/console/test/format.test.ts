import { expect, test } from 'vitest'
import { bytes, clock, count, percent, rate, seconds } from '../src/format.js'

test.each([
  [count(7), '7'], [count(9999), '9,999'], [count(12_345), '12.3 k'], [count(4_560_000), '4.56 M'], [count(null), '–'],
  [rate(0), '0/s'], [rate(1.618), '1.62/s'], [rate(12_345), '12.3 k/s'],
  [bytes(512), '512 B'], [bytes(2048), '2 KiB'], [bytes(1.5 * 2 ** 30), '1.50 GiB'],
  [seconds(0), '0 s'], [seconds(0.00034), '340 µs'], [seconds(0.0123), '12.3 ms'], [seconds(1.25), '1.25 s'], [seconds(250), '4 m 10 s'], [seconds(3600), '1 h'],
  [seconds(11_520), '3 h 12 m'], [seconds(5 * 86_400 + 3 * 3600), '5 d 3 h'], [seconds(-2), '−2 s'], [seconds(NaN), '–'],
  [percent(0.01), '< 0.1 %'], [percent(0), '0 %'], [percent(42.42), '42.4 %'],
])('%s is written as %s', (written, want) => {
  expect(written).toBe(want)
})

test('a time of another day has its date', () => {
  const noon = new Date(2026, 0, 2, 12, 0, 0, 5)
  expect(clock(noon.getTime(), noon)).toBe('12:00:00.005')
  expect(clock(noon.getTime(), new Date(2026, 0, 3))).toBe('2026-01-02 12:00:00.005')
  expect(clock('no time')).toBe('no time')
  expect(clock(undefined)).toBe('–')
})
