import { type Browser, type BrowserContextOptions, chromium as playwright, type Page } from 'playwright-core'
import { chromium, screenshots } from './setup.js'

/**
 * A browser that lives as long as its scenarios. Its pages may not complain:
 * errors that no scenario expects are kept, for `complaints`.
 */
export class Reader {
  readonly #complaints: string[] = []

  private constructor(readonly browser: Browser) {}

  static async start(): Promise<Reader> {
    // Chromium has no sandbox for root, which containers run as.
    const args = ['--no-sandbox', '--disable-dev-shm-usage']
    return new Reader(await playwright.launch({ executablePath: chromium(), args }))
  }

  /** Opens an address in a window of its own, with storage of its own. */
  async open(address: string, options: BrowserContextOptions = {}): Promise<Page> {
    const context = await this.browser.newContext({ viewport: { width: 1280, height: 800 }, ...options })
    context.setDefaultTimeout(60_000)
    const page = await context.newPage()
    page.on('pageerror', (error) => this.#complaints.push(error.message))
    page.on('console', (message) => {
      // A request that fails is what most scenarios are about.
      const expected = /Failed to load resource|WebSocket connection to|net::ERR_/.test(message.text())
      if (message.type() === 'error' && !expected) this.#complaints.push(message.text())
    })
    await page.goto(address)
    return page
  }

  /** What pages have thrown or logged as an error since the last call, but for requests that failed. */
  complaints(): string[] {
    return this.#complaints.splice(0)
  }

  close(): Promise<void> {
    return this.browser.close()
  }
}

/** Keeps a picture of the page as the reader sees it. */
export async function picture(page: Page, name: string): Promise<void> {
  await page.screenshot({ path: `${screenshots}${name}.png`, animations: 'disabled' })
}
