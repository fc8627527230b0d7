import { createContext, createElement, type ReactNode, useCallback, useContext, useSyncExternalStore } from 'react'
import type { Realtime } from '../client.js'
import type { Status } from '../status.js'

const Context = createContext<Realtime | undefined>(undefined)

export interface RealtimeProviderProps {
  /** Made once, outside of components; it connects when a hook follows a job. */
  client: Realtime
  children?: ReactNode
}

/** Gives the components below it a client. */
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

/** How the client stands, for a badge. */
export function useRealtimeStatus(): Status {
  const client = useRealtime()
  const subscribe = useCallback((changed: () => void) => client.onStatus(changed), [client])
  return useSyncExternalStore(subscribe, () => client.status, () => idle)
}
