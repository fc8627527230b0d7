import { useSyncExternalStore } from 'react'

const prefix = '#/jobs/'

/** The address of a job on this page. */
export function jobAddress(jobId: string): string {
  return prefix + encodeURIComponent(jobId)
}

/** The address of the list alone. */
export const listAddress = '#/'

/** The job in the address; undefined for the list, and for an invalid address. */
export function jobOf(hash: string): string | undefined {
  if (!hash.startsWith(prefix) || hash.length === prefix.length) return undefined
  try {
    return decodeURIComponent(hash.slice(prefix.length))
  } catch {
    return undefined
  }
}

function subscribe(listener: () => void): () => void {
  addEventListener('hashchange', listener)
  return () => removeEventListener('hashchange', listener)
}

/** The job that the page shows. */
export function useRoute(): string | undefined {
  return jobOf(useSyncExternalStore(subscribe, () => location.hash))
}
