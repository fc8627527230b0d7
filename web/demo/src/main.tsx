import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { App } from './app.js'
import { loadConfig } from './config.js'
import { Desk, DeskProvider } from './desk.js'
import './styles.css'

const desk = new Desk(await loadConfig())
// The page itself shows when it retries. It also retries while the browser
// reports that there is no network, because the service may be on this machine.
const queries = new QueryClient({ defaultOptions: { queries: { retry: false, networkMode: 'always', refetchOnWindowFocus: false } } })

createRoot(document.getElementById('root') as HTMLElement).render(
  <StrictMode>
    <QueryClientProvider client={queries}>
      <DeskProvider desk={desk}>
        <App />
      </DeskProvider>
    </QueryClientProvider>
  </StrictMode>,
)
