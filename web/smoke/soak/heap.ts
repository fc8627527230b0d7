import type { CDPSession, Page } from 'playwright-core'

/** What a page holds at one moment, after a collection of garbage. */
export interface Sample {
  /** Since the beginning of the soak. */
  seconds: number
  /** Of the page's JavaScript. */
  heapBytes: number
  /** In the whole document. */
  nodes: number
  listeners: number
  /** Events that had been published by then. */
  events: number
}

/** Measures a page through the browser's own protocol. */
export class Scales {
  private constructor(readonly session: CDPSession) {}

  static async of(page: Page): Promise<Scales> {
    const session = await page.context().newCDPSession(page)
    await session.send('HeapProfiler.enable')
    await session.send('Performance.enable')
    return new Scales(session)
  }

  async weigh(): Promise<Pick<Sample, 'heapBytes' | 'nodes' | 'listeners'>> {
    await this.session.send('HeapProfiler.collectGarbage')
    const { usedSize } = await this.session.send('Runtime.getHeapUsage')
    const { metrics } = await this.session.send('Performance.getMetrics')
    const metric = (wanted: string) => metrics.find(({ name }) => name === wanted)?.value ?? 0
    return { heapBytes: usedSize, nodes: metric('Nodes'), listeners: metric('JSEventListeners') }
  }
}

/** What a soak says about growth: the middle third against the last, since the first is warming up. */
export interface Verdict {
  middleBytes: number
  lastBytes: number
  /** Of a straight line through both thirds. */
  bytesPerHour: number
}

/** Judges a series of at least nine samples. */
export function judge(samples: readonly Sample[]): Verdict {
  const third = Math.floor(samples.length / 3)
  const middle = samples.slice(third, 2 * third)
  const last = samples.slice(2 * third)
  return { middleBytes: median(middle), lastBytes: median(last), bytesPerHour: slope([...middle, ...last]) * 3600 }
}

function median(samples: readonly Sample[]): number {
  const sorted = samples.map(({ heapBytes }) => heapBytes).sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? 0
}

/** By least squares, in bytes per second. */
function slope(samples: readonly Sample[]): number {
  const mean = (of: (sample: Sample) => number) => samples.reduce((sum, sample) => sum + of(sample), 0) / samples.length
  const seconds = mean((sample) => sample.seconds)
  const bytes = mean((sample) => sample.heapBytes)
  const above = samples.reduce((sum, sample) => sum + (sample.seconds - seconds) * (sample.heapBytes - bytes), 0)
  return above / samples.reduce((sum, sample) => sum + (sample.seconds - seconds) ** 2, 0)
}
