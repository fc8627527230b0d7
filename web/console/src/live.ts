import { useEffect } from 'react'
import { get, type Health, health } from './api/client.js'
import { type Polled, usePoll } from './api/poll.js'
import { type Figures, History } from './figures.js'
import { Store, useStore } from './store.js'

/** What each process that answered has answered. Behind a load balancer there are several. */
export const histories = new Store<readonly History[]>([])

/** The gateway that the overview shows; empty for the one that answered first. */
export const shown = new Store('')

/** More processes than this are gateways that were replaced. */
const maxProcesses = 8

export function record(figures: Figures): void {
  const all = histories.get()
  const history = all.find(({ gateway, startedAt }) => gateway === figures.gateway && startedAt === figures.startedAt) ??
    new History(figures.gateway, figures.startedAt)
  history.add(figures)
  histories.set([history, ...all.filter(({ gateway }) => gateway !== history.gateway)].slice(0, maxProcesses))
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
  return all.find((history) => history.gateway === gateway) ?? all.at(-1)
}
