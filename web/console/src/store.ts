import { useSyncExternalStore } from 'react'

/** A value that components show. */
export class Store<T> {
  readonly #changed = new Set<() => void>()

  constructor(private now: T) {}

  get = (): T => this.now

  set(next: T): void {
    if (Object.is(this.now, next)) return
    this.now = next
    for (const changed of this.#changed) changed()
  }

  subscribe = (changed: () => void): (() => void) => {
    this.#changed.add(changed)
    return () => this.#changed.delete(changed)
  }
}

export function useStore<T>(store: Store<T>): T {
  return useSyncExternalStore(store.subscribe, store.get)
}
