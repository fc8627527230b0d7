/** A job that the page lists. */
export interface ListedJob {
  id: string
  title: string
}

/** The configuration of the page, in `config.json` in the same folder. */
export interface Config {
  /** Origin of the gateway; empty: the origin of the page. */
  gateway: string
  /** The jobs that every reader sees. A product gets them from its own API. */
  jobs: ListedJob[]
  /** The address of a page that explains how to publish. */
  help?: string
}

/** Reads `config.json`. Without one, the page lists no jobs and uses the gateway of its own origin. */
export async function loadConfig(): Promise<Config> {
  const fallback: Config = { gateway: '', jobs: [] }
  try {
    const response = await fetch('config.json')
    return response.ok ? { ...fallback, ...((await response.json()) as Partial<Config>) } : fallback
  } catch {
    return fallback
  }
}
