import { useCallback, useRef, useState } from 'react'
import type { ApiError } from './api/client.js'

interface Page<T, C> {
  items: readonly T[]
  /** Where the next page begins; undefined, 0 or empty if this is the last one. */
  next?: C | undefined
}

interface Source<T, C> {
  /** Names what is listed. Another key removes the further pages. */
  key: string
  /** The first page, which is asked for again and again. */
  first: Page<T, C> | undefined
  /** Loads a further page. */
  load: (next: C) => Promise<Page<T, C>>
  /** Returns whether a row of a further page is neither in the first page nor in its range. */
  beyond: (first: readonly T[]) => (row: T) => boolean
  maxRows: number
}

/** The rows of a list: the first page, and further pages, each of which is loaded once when the end of the list is in sight. */
export function usePages<T, C extends string | number>({ key, first, load, beyond, maxRows }: Source<T, C>) {
  const [state, setState] = useState<{ key: string; rows: readonly T[]; next?: C | null; error?: ApiError }>({ key, rows: [] })
  const latest = useRef({ key, load })
  latest.current = { key, load }
  const loading = useRef<string | undefined>(undefined) // the key of the page that is being loaded
  const further: typeof state = state.key === key ? state : { key, rows: [] }
  const page = first?.items ?? []
  const rows = [...page, ...further.rows.filter(beyond(page))]
  const next = further.next === undefined ? first?.next : further.next

  const more = useCallback(() => {
    if (!next || loading.current === key || rows.length >= maxRows) return
    loading.current = key
    latest.current.load(next)
      .then(
        ({ items, next: after = null }) => latest.current.key === key && setState((before) => ({ key, rows: [...(before.key === key ? before.rows : []), ...items], next: after })),
        (error: unknown) => latest.current.key === key && setState((before) => ({ ...(before.key === key ? before : { key, rows: [] }), error: error as ApiError })),
      )
      .finally(() => {
        if (loading.current === key) loading.current = undefined
      })
  }, [next, key, rows.length, maxRows])
  /** Removes the further pages, as after a change. */
  const clear = useCallback(() => setState({ key, rows: [] }), [key])

  return { rows, further: Boolean(next), more, clear, error: further.error }
}
