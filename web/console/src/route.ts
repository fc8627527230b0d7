import { useCallback, useSyncExternalStore } from 'react'

/** Where the console is: a view and its parameters, which stand in the fragment of the address. */
export interface Route {
  view: string
  params: URLSearchParams
}

export function parse(hash: string): Route {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?', 2)
  return { view: path.replace(/\/+$/, '') || 'overview', params: new URLSearchParams(query) }
}

/** Returns the address of a view. Parameters that are empty or undefined are left out. */
export function href(view: string, params: Record<string, string | number | undefined> = {}): string {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined && value !== '') query.set(name, String(value))
  }
  const text = query.toString()
  return `#/${view}${text && `?${text}`}`
}

/** Goes to a view. `replace` leaves no entry in the history, as for what is typed. */
export function go(target: string, { replace = false } = {}): void {
  if (location.hash === target) return
  if (!replace) {
    location.hash = target
    return
  }
  history.replaceState(null, '', target)
  window.dispatchEvent(new HashChangeEvent('hashchange'))
}

function subscribe(changed: () => void): () => void {
  window.addEventListener('hashchange', changed)
  return () => window.removeEventListener('hashchange', changed)
}

export function useRoute(): Route {
  return parse(useSyncExternalStore(subscribe, () => location.hash))
}

/** One parameter of the present view, and how to change it. */
export function useParam(name: string): [string, (value: string, options?: { replace?: boolean }) => void] {
  const { params } = useRoute()
  const change = useCallback(
    (value: string, options: { replace?: boolean } = { replace: true }) => {
      const { view, params: now } = parse(location.hash)
      go(href(view, { ...Object.fromEntries(now), [name]: value }), options)
    },
    [name],
  )
  return [params.get(name) ?? '', change]
}
