// @vitest-environment happy-dom
import { beforeEach, expect, test } from 'vitest'
import { range } from '../src/chart.js'
import { choose, histories, record } from '../src/live.js'

const start = Date.parse('2026-01-01T00:00:00Z')

function answer(gateway: string, second: number): void {
  record({ gateway, version: 'v1', startedAt: new Date(start).toISOString(), at: new Date(start + second * 1000).toISOString(), values: [], histograms: [] })
}

const shown = (selected = '') => choose(histories.get(), selected)?.gateway

beforeEach(() => histories.set([]))

test('gateways that answer in turn do not take turns on the overview', () => {
  for (let second = 0; second < 10; second++) {
    answer(second % 2 ? 'b' : 'a', second)
    expect(shown()).toBe('a')
  }
  expect(shown('b')).toBe('b')
})

test('a gateway that was replaced is no longer shown, unless it is selected', () => {
  answer('old', 0)
  for (let second = 1; second <= 20; second++) answer('new', second)
  expect(shown()).toBe('new')
  expect(shown('old')).toBe('old')
})

test('of too many processes the one that has been silent the longest is forgotten', () => {
  for (let n = 0; n < 9; n++) answer(`gateway-${n}`, n)
  expect(histories.get().map(({ gateway }) => gateway)).toEqual(Array.from({ length: 8 }, (_, n) => `gateway-${n + 1}`))
})

test('a chart of one point shows a minute', () => {
  expect(range([1000])).toEqual([940, 1000])
  expect(range([900, 1000])).toEqual([900, 1000])
})
