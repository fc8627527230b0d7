import { type FormEvent, useEffect, useRef, useState } from 'react'
import { freshness, useRecording } from './live.js'
import { go, href, useRoute } from './route.js'
import { need, setToken, token } from './session.js'
import { useStore } from './store.js'
import { nextTheme, theme } from './theme.js'
import { Dialog, Freshness } from './ui.js'
import { views } from './views.js'

export function App() {
  const { view: name } = useRoute()
  const needed = useStore(need)
  const fresh = useStore(freshness)
  useRecording()
  const [help, setHelp] = useState(false)
  const view = views.find((one) => one.name === name)
  useKeys(() => setHelp(true))
  useEffect(() => {
    document.title = `${view?.title ?? 'Not found'} · Realtime`
  }, [view])

  return (
    <div className="app">
      <a className="skip" href="#main" onClick={(event) => {
        event.preventDefault()
        document.getElementById('main')?.focus()
      }}>To the content</a>
      <header className="top">
        <a className="brand" href={href('overview')}>Realtime</a>
        <nav aria-label="Views">
          <ul>
            {views.filter(({ letter }) => letter).map((one) => (
              <li key={one.name}>
                <a href={href(one.name)} aria-current={one.name === name || view?.below === one.name ? 'page' : undefined}>{one.title}</a>
              </li>
            ))}
          </ul>
        </nav>
        <div className="tools">
          <Freshness of={fresh} short />
          <ThemeButton />
          {token() !== '' && <button type="button" onClick={() => {
            setToken('')
            location.reload()
          }}>Forget token</button>}
          <button type="button" onClick={() => setHelp(true)} aria-keyshortcuts="?">Keys</button>
        </div>
      </header>
      <main id="main" tabIndex={-1}>
        {needed !== 'none' ? <TokenForm refused={needed === 'refused'} /> : view ? <view.component /> : <p className="pad">There is no view “{name}”.</p>}
      </main>
      {help && <Keys onClose={() => setHelp(false)} />}
    </div>
  )
}

function ThemeButton() {
  const now = useStore(theme)
  return <button type="button" onClick={nextTheme} aria-label={`Colours: ${now}. Change.`} aria-keyshortcuts="t">{{ auto: 'Auto', light: 'Light', dark: 'Dark' }[now]}</button>
}

function TokenForm({ refused }: { refused: boolean }) {
  const [value, setValue] = useState('')
  const submit = (event: FormEvent) => {
    event.preventDefault()
    if (value.trim()) setToken(value.trim())
  }
  return (
    <form className="token" onSubmit={submit}>
      <h1>Access token</h1>
      {refused && <p role="alert" className="bad">The gateway does not accept this token.</p>}
      <p>Enter <code>INTERNAL_TOKEN</code> to read and change, or <code>ADMIN_READ_TOKEN</code> to read.</p>
      <label>
        Token
        <input type="password" autoComplete="off" spellCheck={false} value={value} onChange={({ target }) => setValue(target.value)} autoFocus />
      </label>
      <button type="submit" className="main">Continue</button>
      <p className="quiet">The token is kept in this tab until it is closed, and sent as a header. If neither setting is there, open the console by IP address or as localhost.</p>
    </form>
  )
}

const general = [
  ['?', 'this list'], ['/', 'to the search field'], ['j k ↓ ↑', 'next or previous row of a list'], ['Enter', 'open the row'],
  ['← →', 'in the scrubber: the event before or after'], ['t', 'colours: auto, light, dark'], ['Esc', 'close what is open, leave a field'],
] as const

function Keys({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Keys" onClose={onClose}>
      <dl className="keys">
        {general.map(([key, text]) => <div key={key}><dt><kbd>{key}</kbd></dt><dd>{text}</dd></div>)}
        {views.filter(({ letter }) => letter).map(({ name, title, letter }) => <div key={name}><dt><kbd>g</kbd> <kbd>{letter}</kbd></dt><dd>{title}</dd></div>)}
      </dl>
      <form method="dialog"><button type="submit" className="main">Close</button></form>
    </Dialog>
  )
}

/** How long the letter after g may take. */
const patience = 1500

function useKeys(help: () => void): void {
  const latest = useRef(help)
  latest.current = help
  useEffect(() => {
    let pressed = 0 // when g was
    const press = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement
      const typing = target.closest('textarea, select, input:not([type=range], [type=checkbox])') !== null
      if (event.key === 'Escape' && typing) target.blur()
      if (typing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return
      const view = Date.now() - pressed < patience ? views.find(({ letter }) => letter === event.key) : undefined
      pressed = 0
      if (view) go(href(view.name))
      else if (event.key === 'g') pressed = Date.now()
      else if (event.key === '?') latest.current()
      else if (event.key === 't') nextTheme()
      else if (event.key === '/') {
        event.preventDefault()
        document.querySelector<HTMLInputElement>('main input[type=search]')?.focus()
      }
    }
    window.addEventListener('keydown', press)
    return () => window.removeEventListener('keydown', press)
  }, [])
}
