import type { Auth, AuthContext } from './options.js'

/** The token in use. Without `auth` there is none. */
export class Tokens {
  #current: string | undefined

  constructor(readonly auth: Auth | undefined) {}

  /** Whether asking again can bring another token. */
  get renewable(): boolean {
    return typeof this.auth === 'function'
  }

  /** Asks for a token to be used from now on. Rejects as `auth` does. */
  async renew(context: AuthContext): Promise<string | undefined> {
    this.#current = typeof this.auth === 'function' ? await this.auth(context) : this.auth
    return this.#current
  }

  /** The token in use, or a first one. */
  async current(): Promise<string | undefined> {
    return this.#current ?? this.renew({})
  }
}
