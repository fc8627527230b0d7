import { useCallback, useEffect, useRef, useState } from 'react'
import { need } from '../session.js'
import { ApiError } from './client.js'

export interface Polled<T> {
  data: T | undefined
  /** When the last answer came, in ms since 1970; undefined before the first. */
  at: number | undefined
  /** What the last attempt failed with; the data are then those of an earlier one. */
  error: ApiError | undefined
  every: number
  refresh: () => void
}

/**
 * Asks again and again, `every` ms after each answer, while the page is visible. A changed
 * key starts anew. Data outlive errors, so that the view shows what was known last.
 */
export function usePoll<T>(key: string, load: (signal: AbortSignal) => Promise<T>, every: number): Polled<T> {
  const [state, setState] = useState<{ key: string; data?: T; at?: number; error?: ApiError }>({ key })
  const latest = useRef(load)
  latest.current = load
  const wake = useRef<() => void>(() => undefined)

  useEffect(() => {
    const abort = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    let asking = false
    const ask = async () => {
      clearTimeout(timer)
      if (asking || document.hidden || abort.signal.aborted) return
      asking = true
      try {
        const data = await latest.current(abort.signal)
        if (!abort.signal.aborted) setState({ key, data, at: Date.now() })
      } catch (error) {
        if (abort.signal.aborted) return
        const known = error instanceof ApiError ? error : new ApiError(0, 'console', String(error))
        setState((before) => ({ ...(before.key === key ? before : { key }), error: known }))
      } finally {
        asking = false
        // A refused token is not repeated: the console asks for another one.
        if (!abort.signal.aborted && need.get() === 'none') timer = setTimeout(ask, every)
      }
    }
    wake.current = () => void ask()
    const woken = () => void ask()
    document.addEventListener('visibilitychange', woken)
    const unsubscribe = need.subscribe(() => {
      if (need.get() === 'none') void ask()
    })
    void ask()
    return () => {
      abort.abort()
      clearTimeout(timer)
      unsubscribe()
      document.removeEventListener('visibilitychange', woken)
    }
  }, [key, every])

  const refresh = useCallback(() => wake.current(), [])
  const current = state.key === key ? state : { key }
  return { data: current.data, at: current.at, error: current.error, every, refresh }
}
