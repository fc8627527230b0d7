import { fileURLToPath } from 'node:url'

/** The build and the development server have a folder each. */
export default { distDir: process.env.DIST_DIR ?? '.next', outputFileTracingRoot: fileURLToPath(new URL('../', import.meta.url)) }
