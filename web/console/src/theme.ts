import { Store } from './store.js'

export type Theme = 'auto' | 'light' | 'dark'

const key = 'realtime-console-theme'
const order: readonly Theme[] = ['auto', 'light', 'dark']

function stored(): Theme {
  const value = localStorage.getItem(key) as Theme
  return order.includes(value) ? value : 'auto'
}

export const theme = new Store<Theme>(stored())

/** Shows the chosen theme: style sheets read it off the root element. */
export function applyTheme(): void {
  const value = theme.get()
  if (value === 'auto') delete document.documentElement.dataset['theme']
  else document.documentElement.dataset['theme'] = value
}

export function nextTheme(): void {
  const next = order[(order.indexOf(theme.get()) + 1) % order.length] as Theme
  localStorage.setItem(key, next)
  theme.set(next)
  applyTheme()
}
