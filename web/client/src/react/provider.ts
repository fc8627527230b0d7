import { createContext, createElement, type ReactNode, useCallback, useContext, useSyncExternalStore } from 'react'
import type { Realtime } from '../client.js'
import type { Status } from '../status.js'

const Context = createContext<Realtime | undefined>(undefined)

export interface RealtimeProviderProps {
  /** The client, created once, outside of components. It connects when a hook follows a job. */
  client: Realtime
  children?: ReactNode
}

/** Provides a client to the components below. */
export function RealtimeProvider({ client, children }: RealtimeProviderProps): ReactNode {
  return createElement(Context.Provider, { value: client }, children)
}

/** The client of the nearest {@link RealtimeProvider}. */
export function useRealtime(): Realtime {
  const client = useContext(Context)
  if (!client) throw new Error('useRealtime: there is no <RealtimeProvider> above')
  return client
}

const idle: Status = { state: 'idle' }

/** The status of the client, for example for a badge. */
export function useRealtimeStatus(): Status {
  const client = useRealtime()
  const subscribe = useCallback((changed: () => void) => client.onStatus(changed), [client])
  return useSyncExternalStore(subscribe, () => client.status, () => idle)
}
