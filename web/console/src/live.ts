import { useEffect } from 'react'
import { get, type Health, health } from './api/client.js'
import { type Polled, usePoll } from './api/poll.js'
import { type Figures, History } from './figures.js'
import { Store, useStore } from './store.js'

/** What each process that answered has answered. Behind a load balancer there are several. */
export const histories = new Store<readonly History[]>([])

/** The gateway that the overview shows; empty for the first one that still answers. */
export const shown = new Store('')

/** More processes than this are gateways that were replaced. */
const maxProcesses = 8
/** A process that has not answered for so long, while another one has, is shown only if it is selected. */
const silentMs = 15_000

export function record(figures: Figures): void {
  const all = histories.get()
  const history = all.find(({ gateway, startedAt }) => gateway === figures.gateway && startedAt === figures.startedAt) ??
    new History(figures.gateway, figures.startedAt)
  history.add(figures)
  // Each keeps its place, or the overview would change between gateways that answer in turn.
  const kept = all.filter((other) => other === history || other.gateway !== history.gateway)
  if (!kept.includes(history)) kept.push(history)
  if (kept.length > maxProcesses) kept.splice(kept.indexOf(kept.reduce((oldest, other) => (lastAt(other) < lastAt(oldest) ? other : oldest))), 1)
  histories.set(kept)
}

function lastAt({ latest }: History): number {
  return latest ? Date.parse(latest.at) : 0
}

/** The selected process, or else the first one that still answers. */
export function choose(all: readonly History[], gateway: string): History | undefined {
  const newest = Math.max(...all.map(lastAt))
  return all.find((history) => history.gateway === gateway) ?? all.find((history) => newest - lastAt(history) < silentMs)
}

/** How fresh the figures are. */
export type Freshness = Pick<Polled<Figures>, 'at' | 'error' | 'every'>
export const freshness = new Store<Freshness>({ at: undefined, error: undefined, every: 1000 })

/** Asks for the figures each second, whatever view is shown, so that charts have no holes. For the shell alone. */
export function useRecording(): void {
  const { data, at, error, every } = usePoll('figures', (signal) => get('/figures', undefined, signal), 1000)
  useEffect(() => {
    if (data) record(data)
  }, [data])
  useEffect(() => freshness.set({ at, error, every }), [at, error, every])
}

export function useHealth(): Polled<Health> {
  return usePoll('health', health, 3000)
}

/** The history of the process that is shown. */
export function useHistory(): History | undefined {
  const all = useStore(histories)
  const gateway = useStore(shown)
  return choose(all, gateway)
}
