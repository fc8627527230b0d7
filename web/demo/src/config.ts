/** A job that the page lists. */
export interface ListedJob {
  id: string
  title: string
}

/** What the host of the page tells it, in `config.json` beside it. */
export interface Config {
  /** Origin of the gateway; empty: that of the page. */
  gateway: string
  /** The jobs that everybody sees. A product has them from its own API. */
  jobs: ListedJob[]
  /** A page that says how to publish. */
  help?: string
}

/** Reads `config.json`. A host without one serves a page that lists nothing, on its own gateway. */
export async function loadConfig(): Promise<Config> {
  const fallback: Config = { gateway: '', jobs: [] }
  try {
    const response = await fetch('config.json')
    return response.ok ? { ...fallback, ...((await response.json()) as Partial<Config>) } : fallback
  } catch {
    return fallback
  }
}
