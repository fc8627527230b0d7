import { Providers } from './providers'

export default function Layout({ children }) {
  return <html lang="en"><body><Providers gateway={process.env.GATEWAY ?? ''}>{children}</Providers></body></html>
}
