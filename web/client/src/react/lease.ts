/** How long an unused thing is kept, in milliseconds: the next page may use it again, or StrictMode may mount again. */
const lingerMs = 1000

interface Lease<T> {
  readonly value: T
  users: number
  timer: ReturnType<typeof setTimeout> | undefined
}

/**
 * Things that are shared by key. A thing is created for the first user and ended some time
 * after the last one.
 */
export class Leases<T> {
  readonly #leases = new Map<string, Lease<T>>()

  constructor(readonly end: (value: T) => void) {}

  /** The thing, if it is there. */
  peek(key: string): T | undefined {
    return this.#leases.get(key)?.value
  }

  /** Uses the thing until the function that is returned is called. */
  use(key: string, make: () => T): { value: T; release: () => void } {
    let lease = this.#leases.get(key)
    if (!lease) this.#leases.set(key, (lease = { value: make(), users: 0, timer: undefined }))
    const held = lease
    held.users++
    clearTimeout(held.timer)
    let released = false
    return {
      value: held.value,
      release: () => {
        if (released) return
        released = true
        if (--held.users > 0) return
        held.timer = setTimeout(() => {
          this.#leases.delete(key)
          this.end(held.value)
        }, lingerMs)
      },
    }
  }
}
