import type { Answer } from './api/client.js'

export type Figures = Answer<'/figures'>
type Distribution = Figures['histograms'][number]

/** The stages of an event, in its order. */
export const stages = [
  { name: 'realtime_ingest_publish_to_receive_seconds', label: 'published → received' },
  { name: 'realtime_ingest_receive_to_log_seconds', label: 'received → logged' },
  { name: 'realtime_fanout_log_to_deliver_seconds', label: 'logged → delivered' },
  { name: 'realtime_fanout_publish_to_deliver_seconds', label: 'published → delivered' },
] as const

/** The sum of the series of a metric; null when there is none. `where` selects by labels. */
export function sum(figures: Figures, name: string, where: (labels: Record<string, string>) => boolean = () => true): number | null {
  let total: number | null = null
  for (const figure of figures.values) {
    if (figure.name === name && where(figure.labels ?? {})) total = (total ?? 0) + figure.value
  }
  return total
}

/** The series of a metric by one label. */
export function by(figures: Figures, name: string, label: string): Map<string, number> {
  const found = new Map<string, number>()
  for (const figure of figures.values) {
    const key = figure.name === name ? figure.labels?.[label] : undefined
    if (key !== undefined) found.set(key, (found.get(key) ?? 0) + figure.value)
  }
  return found
}

const applied = (labels: Record<string, string>) => labels['dry_run'] !== 'true'

const counters = {
  received: (f: Figures) => add(sum(f, 'realtime_ingest_received_events_total'), sum(f, 'realtime_ingest_http_received_events_total')),
  stored: (f: Figures) => sum(f, 'realtime_eventstore_appended_records_total'),
  delivered: (f: Figures) => sum(f, 'realtime_fanout_delivered_total'),
  deadLettered: (f: Figures) => sum(f, 'realtime_ingest_rejected_events_total'),
  refused: (f: Figures) => add(sum(f, 'realtime_fanout_refused_total', applied), sum(f, 'realtime_ingest_http_refused_events_total')),
  closed: (f: Figures) => sum(f, 'realtime_fanout_closed_total'),
}

const gauges = {
  connections: (f: Figures) => sum(f, 'realtime_fanout_connections'),
  subscriptions: (f: Figures) => sum(f, 'realtime_fanout_subscriptions'),
  jobs: (f: Figures) => sum(f, 'realtime_fanout_rooms'),
  waiting: (f: Figures) => sum(f, 'realtime_ingest_pending_events'),
  logBytes: (f: Figures) => sum(f, 'realtime_eventstore_log_bytes'),
  logMaxBytes: (f: Figures) => sum(f, 'realtime_eventstore_log_max_bytes'),
  memory: (f: Figures) => sum(f, 'process_resident_memory_bytes'),
  lagEvents: (f: Figures) => largest(by(f, 'realtime_projections_lag_records', 'projection')),
  lagSeconds: (f: Figures) => largest(by(f, 'realtime_projections_lag_seconds', 'projection')),
}

export type CounterName = keyof typeof counters
export type GaugeName = keyof typeof gauges

function add(a: number | null, b: number | null): number | null {
  return a === null ? b : b === null ? a : a + b
}

function largest(values: Map<string, number>): number | null {
  return values.size > 0 ? Math.max(...values.values()) : null
}

/** The figures of one moment: rates per second, gauges as they were, 95th percentiles of stages. */
export interface Point {
  /** In seconds since 1970, by the gateway's clock. */
  t: number
  rates: Record<CounterName, number | null>
  gauges: Record<GaugeName, number | null>
  p95: (number | null)[]
  lags: Map<string, number>
}

export interface Percentiles {
  count: number
  p50: number | null
  p95: number | null
  p99: number | null
}

/** Rates are those of this many seconds, and percentiles those of `window` seconds. */
const smoothing = 3
const window = 10
/** The samples and points that are kept: a minute in full, and ten minutes of points. */
const maxSamples = 64
const maxPoints = 600

/** What one process has answered in the last minutes. */
export class History {
  readonly points: Point[] = []
  #samples: Figures[] = []

  constructor(readonly gateway: string, readonly startedAt: string) {}

  get latest(): Figures | undefined {
    return this.#samples.at(-1)
  }

  add(figures: Figures): void {
    const previous = this.latest
    if (previous && seconds(figures) <= seconds(previous)) return
    this.#samples.push(figures)
    if (this.#samples.length > maxSamples) this.#samples.shift()
    const before = this.#before(smoothing)
    const elapsed = before ? seconds(figures) - seconds(before) : 0
    this.points.push({
      t: seconds(figures),
      rates: mapValues(counters, (of) => {
        const now = of(figures)
        const then = before && of(before)
        return now === null || then == null || elapsed <= 0 ? null : Math.max(0, now - then) / elapsed
      }),
      gauges: mapValues(gauges, (of) => of(figures)),
      p95: stages.map(({ name }) => this.percentiles(name).p95),
      lags: by(figures, 'realtime_projections_lag_records', 'projection'),
    })
    if (this.points.length > maxPoints) this.points.shift()
  }

  /** The distribution of the last seconds. */
  percentiles(name: string): Percentiles {
    const now = this.latest && merged(this.latest, name)
    const before = this.#before(window)
    const then = before && merged(before, name)
    if (!now) return { count: 0, p50: null, p95: null, p99: null }
    const counts = now.counts.map((count, i) => count - (then?.counts[i] ?? 0))
    const count = now.count - (then?.count ?? 0)
    const of = (share: number) => quantile(share, now.upTo, counts, count)
    // Without an earlier sample these would be the figures since the start of the process.
    return then ? { count, p50: of(0.5), p95: of(0.95), p99: of(0.99) } : { count: 0, p50: null, p95: null, p99: null }
  }

  /** How much each series of a counter has grown in the last minute, and its value, by a label. */
  growth(name: string, label: string): { key: string; total: number; minute: number }[] {
    const latest = this.latest
    if (!latest) return []
    const then = this.#samples[0] && by(this.#samples[0], name, label)
    return [...by(latest, name, label)].map(([key, total]) => ({ key, total, minute: Math.max(0, total - (then?.get(key) ?? total)) }))
  }

  /**
   * In how many seconds the log is full at the rate of the last minutes; infinity when it
   * does not grow, null when that is not known yet.
   */
  full(): number | null {
    const last = this.points.at(-1)
    const first = this.points.find((point) => point.gauges.logBytes !== null)
    if (!last || !first || last.t - first.t < 30) return null
    const { logBytes, logMaxBytes } = last.gauges
    if (logBytes === null || !logMaxBytes) return null
    const rate = (logBytes - (first.gauges.logBytes ?? logBytes)) / (last.t - first.t)
    return rate > 0 ? (logMaxBytes - logBytes) / rate : Infinity
  }

  /** The newest sample that is at least so many seconds older than the latest, or else the oldest but the latest. */
  #before(age: number): Figures | undefined {
    const latest = this.latest
    if (!latest) return undefined
    const earlier = this.#samples.slice(0, -1)
    return earlier.findLast((sample) => seconds(latest) - seconds(sample) >= age) ?? earlier[0]
  }
}

function seconds(figures: Figures): number {
  return Date.parse(figures.at) / 1000
}

/** All series of a histogram as one. Those of one metric have the same buckets. */
function merged(figures: Figures, name: string): Distribution | undefined {
  let result: Distribution | undefined
  for (const series of figures.histograms) {
    if (series.name !== name) continue
    result = result
      ? { ...result, count: result.count + series.count, sum: result.sum + series.sum, counts: result.counts.map((n, i) => n + (series.counts[i] ?? 0)) }
      : series
  }
  return result
}

/**
 * The quantile of a cumulative histogram, linear within a bucket as in Prometheus'
 * histogram_quantile; beyond the last bucket its bound, null without values.
 */
export function quantile(share: number, upTo: readonly number[], counts: readonly number[], count: number): number | null {
  if (count <= 0) return null
  const rank = share * count
  const i = counts.findIndex((below) => below >= rank)
  if (i < 0) return upTo.at(-1) ?? null
  const from = i > 0 ? (upTo[i - 1] ?? 0) : 0
  const below = i > 0 ? (counts[i - 1] ?? 0) : 0
  const inside = (counts[i] ?? 0) - below
  const to = upTo[i] ?? from
  return inside > 0 ? from + ((to - from) * (rank - below)) / inside : to
}

function mapValues<K extends string, A, B>(record: Record<K, A>, of: (value: A) => B): Record<K, B> {
  return Object.fromEntries(Object.entries<A>(record).map(([key, value]) => [key, of(value)])) as Record<K, B>
}
