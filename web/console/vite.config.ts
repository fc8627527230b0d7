import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'
import { licences } from './licences.js'

// `npm run dev` shows the console of the gateway of realtime-dev. The build goes where Go
// embeds it; the folder's .gitkeep comes from public.
const gateway = process.env['GATEWAY'] ?? 'http://127.0.0.1:3001'

export default defineConfig({
  base: './',
  plugins: [react(), licences()],
  server: {
    port: 5174,
    proxy: {
      '/internal/api': gateway,
      '/health': gateway,
    },
  },
  build: {
    outDir: '../../internal/console/dist',
    emptyOutDir: true,
    target: 'es2022',
    modulePreload: { polyfill: false },
    // The page's policy allows no data addresses but those of pictures.
    assetsInlineLimit: 0,
  },
})
