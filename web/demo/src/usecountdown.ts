import { useEffect, useState } from 'react'
import { countdown } from './wording.js'

/** The words for the time that is left until a time, updated every second. */
export function useCountdown(at: number | undefined): string {
  const [now, setNow] = useState(Date.now)
  useEffect(() => {
    setNow(Date.now())
    if (at === undefined) return
    const timer = setInterval(() => {
      setNow(Date.now())
      if (Date.now() >= at) clearInterval(timer)
    }, 250)
    return () => clearInterval(timer)
  }, [at])
  return countdown(at, now)
}
