import type { Auth, AuthContext } from './options.js'

/** The token in use. Without `auth` there is none. */
export class Tokens {
  #current: string | undefined

  constructor(readonly auth: Auth | undefined) {}

  /** Whether asking again can bring another token. */
  get renewable(): boolean {
    return typeof this.auth === 'function'
  }

  /**
   * Asks for a token to be used from now on. Rejects as `auth` does, and when the
   * signal is aborted; a token that arrives after that is not used.
   */
  async renew(context: AuthContext, signal: AbortSignal): Promise<string | undefined> {
    const { auth } = this
    if (typeof auth !== 'function') return (this.#current = auth)
    const token = await unlessAborted(signal, auth(context, signal))
    return (this.#current = token)
  }

  /** The token in use, or a first one. */
  async current(signal: AbortSignal): Promise<string | undefined> {
    return this.#current ?? this.renew({}, signal)
  }
}

/** Waits for a value, and no longer than until the signal is aborted. */
function unlessAborted<T>(signal: AbortSignal, value: T | Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason as Error)
    if (signal.aborted) return abort()
    signal.addEventListener('abort', abort, { once: true })
    void Promise.resolve(value).then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}
