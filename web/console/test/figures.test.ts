import { expect, test } from 'vitest'
import { type Figures, History, quantile } from '../src/figures.js'

const start = Date.parse('2026-01-01T00:00:00Z')

function figures(second: number, values: Figures['values'], histograms: Figures['histograms'] = []): Figures {
  return { gateway: 'p', version: 'v1', startedAt: new Date(start).toISOString(), at: new Date(start + second * 1000).toISOString(), values, histograms }
}

test('rates are those of the last seconds, over both ways in', () => {
  const history = new History('p', new Date(start).toISOString())
  for (let second = 0; second <= 10; second++) {
    history.add(figures(second, [
      { name: 'realtime_ingest_received_events_total', value: 100 + 20 * second },
      { name: 'realtime_ingest_http_received_events_total', value: 5 * second },
    ]))
  }
  expect(history.points[0]?.rates.received).toBeNull()
  expect(history.points.at(-1)?.rates.received).toBe(25)
  expect(history.points.at(-1)?.rates.stored).toBeNull()
})

test('an answer that is not newer is left out', () => {
  const history = new History('p', new Date(start).toISOString())
  history.add(figures(2, []))
  history.add(figures(2, []))
  history.add(figures(1, []))
  expect(history.points).toHaveLength(1)
})

test('what was refused in a dry run was not refused', () => {
  const history = new History('p', new Date(start).toISOString())
  const refused = (real: number, dry: number): Figures['values'] => [
    { name: 'realtime_fanout_refused_total', labels: { code: 'A', dry_run: 'false' }, value: real },
    { name: 'realtime_fanout_refused_total', labels: { code: 'A', dry_run: 'true' }, value: dry },
  ]
  history.add(figures(0, refused(0, 0)))
  history.add(figures(10, refused(20, 70)))
  expect(history.points.at(-1)?.rates.refused).toBe(2)
})

test('percentiles are those of what was added, over all series of the metric', () => {
  const history = new History('p', new Date(start).toISOString())
  const name = 'realtime_ingest_receive_to_log_seconds'
  const series = (counts: number[], count: number) => ({ name, count, sum: 0, upTo: [0.1, 1], counts })
  history.add(figures(0, [], [series([1000, 1000], 1000)]))
  history.add(figures(12, [], [series([1000, 1010], 1010), series([0, 0], 0)]))
  const found = history.percentiles(name)
  expect(found.count).toBe(10)
  expect(found.p50).toBeCloseTo(0.55)
  expect(found.p95).toBeCloseTo(0.955)
  expect(found.p99).toBeCloseTo(0.991)
})

test('quantiles are linear within a bucket, and none without values', () => {
  expect(quantile(0.5, [1, 2], [0, 0], 0)).toBeNull()
  expect(quantile(0.5, [1, 2], [10, 10], 10)).toBe(0.5)
  expect(quantile(0.99, [1, 2], [0, 0], 10)).toBe(2)
})

test('the log is full when its room is used up at the rate of the last minutes', () => {
  const history = new History('p', new Date(start).toISOString())
  const log = (bytes: number): Figures['values'] => [
    { name: 'realtime_eventstore_log_bytes', value: bytes },
    { name: 'realtime_eventstore_log_max_bytes', value: 10_000 },
  ]
  history.add(figures(0, log(1000)))
  expect(history.full()).toBeNull()
  history.add(figures(100, log(2000)))
  expect(history.full()).toBe(800)
  history.add(figures(200, log(900)))
  expect(history.full()).toBe(Infinity)
})

test('points and samples are bounded', () => {
  const history = new History('p', new Date(start).toISOString())
  for (let second = 0; second < 2000; second++) history.add(figures(second, []))
  expect(history.points).toHaveLength(600)
})
