/** The pause before attempt n, counted from 0: doubled each time up to maxMs, then between half of that and all of it. */
export function backoff(n: number, minMs: number, maxMs: number): number {
  return Math.min(maxMs, minMs * 2 ** Math.min(n, 20)) * (0.5 + Math.random() / 2)
}
