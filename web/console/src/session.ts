import { Store } from './store.js'

const key = 'realtime-console-token'

/** Why the console asks for a token: nothing was given, or what was given is not accepted. */
export type Need = 'none' | 'missing' | 'refused'

export const need = new Store<Need>('none')

/**
 * Returns the access token. It stands in sessionStorage alone, which ends with the tab, and
 * is sent as a header: a page of another site cannot make the browser send it.
 */
export function token(): string {
  return sessionStorage.getItem(key) ?? ''
}

export function setToken(value: string): void {
  if (value) sessionStorage.setItem(key, value)
  else sessionStorage.removeItem(key)
  need.set('none')
}

/** Notes that the API refused a request with the token that was sent. */
export function refused(sent: string): void {
  if (sent === token()) need.set(sent ? 'refused' : 'missing')
}
