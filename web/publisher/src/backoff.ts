/**
 * The pause after the nth failed attempt, in milliseconds: `minMs`, doubled
 * with each further attempt up to `maxMs`, then varied by a quarter either way so
 * that many producers do not retry at once.
 */
export function backoff(n: number, minMs: number, maxMs: number, random: () => number = Math.random): number {
  const plain = Math.min(maxMs, minMs * 2 ** Math.min(n - 1, 30))
  return Math.round(plain * (0.75 + random() / 2))
}
