import type { Tone, Wording } from './wording.js'

/** A message that is shown over the page for a while. */
export interface Toast extends Wording {
  /** A toast replaces the one with the same key. */
  key: string
  /** The time of the next automatic attempt, in milliseconds since 1970. */
  retryAt?: number
  /** What the reader can do about it. */
  action?: { label: string; run: () => void }
  /** Called when the reader dismisses the message. */
  onDismiss?: () => void
}

/** How long a toast stays when nobody dismisses it, in milliseconds; one that has an action or a retry stays until it is replaced. */
const stayMs: Record<Tone, number> = { info: 6000, good: 6000, warning: 12_000, problem: 20_000 }

/** The most toasts that are shown at once; the oldest is removed first. */
const atOnce = 4

/** The toasts of the page. Each ends its own timer. */
export class Toasts {
  #shown: readonly Toast[] = []
  readonly #timers = new Map<string, ReturnType<typeof setTimeout>>()
  readonly #listeners = new Set<() => void>()

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  readonly shown = (): readonly Toast[] => this.#shown

  show(toast: Toast): void {
    const at = this.#shown.findIndex(({ key }) => key === toast.key)
    const kept = at < 0 ? [...this.#shown, toast].slice(-atOnce) : this.#shown.with(at, toast)
    clearTimeout(this.#timers.get(toast.key))
    this.#timers.delete(toast.key)
    if (!toast.action && toast.retryAt === undefined) {
      this.#timers.set(toast.key, setTimeout(() => this.dismiss(toast.key), stayMs[toast.tone]))
    }
    this.#change(kept)
  }

  dismiss(key: string): void {
    clearTimeout(this.#timers.get(key))
    this.#timers.delete(key)
    if (this.#shown.some((toast) => toast.key === key)) this.#change(this.#shown.filter((toast) => toast.key !== key))
  }

  #change(shown: readonly Toast[]): void {
    this.#shown = shown
    for (const listener of [...this.#listeners]) listener()
  }
}
