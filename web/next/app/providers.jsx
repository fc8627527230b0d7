'use client'

import { createRealtime } from '@letswriteabook/realtime-client'
import { RealtimeProvider } from '@letswriteabook/realtime-client/react'
import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { useState } from 'react'

export function Providers({ gateway, children }) {
  const [realtime] = useState(() => createRealtime({ url: gateway }))
  const [queries] = useState(() => new QueryClient())
  return (
    <QueryClientProvider client={queries}>
      <RealtimeProvider client={realtime}>{children}</RealtimeProvider>
    </QueryClientProvider>
  )
}
