import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

// `npm run dev` shows the page with the gateway of realtime-dev behind it. The
// port is the origin that the service allows by default.
const gateway = process.env['GATEWAY'] ?? 'http://127.0.0.1:3001'

export default defineConfig({
  plugins: [react()],
  server: {
    port: 5173,
    proxy: {
      '/api': gateway,
      '/ws': { target: gateway, ws: true },
    },
  },
  build: { target: 'es2022', modulePreload: { polyfill: false } },
})
