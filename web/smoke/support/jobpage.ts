import { fileURLToPath } from 'node:url'
import type { Receipt } from '@letswriteabook/realtime-publisher'
import AxeBuilder from 'axe-core'
import type { Locator, Page } from 'playwright-core'
import { expect } from 'vitest'

/** The folder of the built job page. */
export const jobPageFolder = fileURLToPath(new URL('../../demo/dist/', import.meta.url))

/** How long a scenario waits for what has to happen, in milliseconds; on a machine with nothing else to do that takes a few seconds at most. */
const patience = 60_000

/** The jobs that the page lists in the scenarios. */
export const listed = [{ id: 'novel-1', title: 'The First' }, { id: 'novel-2', title: 'The Second' }, { id: 'novel-3', title: 'The Third' }]

/** The job page as a reader sees it: what it says, and what can be clicked. */
export class JobPage {
  constructor(readonly page: Page) {}

  get badge(): Locator {
    return this.page.getByRole('status', { name: 'Connection' })
  }

  get toasts(): Locator {
    return this.page.getByRole('region', { name: 'Messages' })
  }

  /** The row of a job in the list. */
  row(title: string): Locator {
    return this.page.getByRole('link', { name: title })
  }

  /** The sequences that the timeline shows, oldest first. */
  async sequences(): Promise<number[]> {
    const shown = await this.page.locator('.timeline .sequence').allTextContents()
    return shown.map((text) => Number(text.slice(1))).reverse()
  }

  /** The headlines of the timeline, oldest first. */
  async headlines(): Promise<string[]> {
    return (await this.page.locator('.timeline .headline').allTextContents()).reverse()
  }

  /** Waits until the badge has a word. */
  async stands(word: string, timeout = patience): Promise<void> {
    await expect.poll(() => this.badge.textContent(), { timeout, interval: 20 }).toBe(word)
  }

  isLive(timeout?: number): Promise<void> {
    return this.stands('Live', timeout)
  }

  /** Waits until the page is live, and returns how long after the beginning of its loading, in milliseconds. */
  async liveAfter(): Promise<number> {
    const live = await this.page.waitForFunction(() => document.querySelector('.badge')?.textContent === 'Live' && performance.now())
    return (await live.jsonValue()) as number
  }

  /** Waits until the timeline shows exactly these events, in their order. */
  async shows(receipts: readonly Receipt[], timeout = patience): Promise<void> {
    await expect.poll(() => this.sequences(), { timeout, interval: 20 }).toEqual(receipts.map(({ sequence }) => sequence))
  }

  /** Waits until a message says something. */
  async says(words: string | RegExp): Promise<void> {
    await this.toasts.getByText(words).first().waitFor({ timeout: patience })
  }

  /** What axe finds wrong with the page as it is now, by rule and element. */
  async barriers(): Promise<string[]> {
    await this.page.evaluate(AxeBuilder.source)
    const violations = await this.page.evaluate(async () => {
      const { axe } = window as unknown as { axe: typeof AxeBuilder }
      const result = await axe.run(document, { resultTypes: ['violations'] })
      return result.violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`)
    })
    return violations
  }
}
