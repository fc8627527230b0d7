import { type KeyboardEvent, type ReactNode, useEffect, useLayoutEffect, useRef, useState } from 'react'
import { advice, ApiError } from './api/client.js'
import type { Polled } from './api/poll.js'
import * as format from './format.js'

/** Renders again each second, for what says how long ago something was. */
export function useNow(every = 1000): number {
  const [now, setNow] = useState(() => Date.now())
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), every)
    return () => clearInterval(timer)
  }, [every])
  return now
}

/** How long ago a time was. */
export function Age({ time }: { time: string | undefined }) {
  const ago = format.age(time, useNow())
  return <time dateTime={time} title={time}>{format.seconds(ago === null ? null : Math.max(0, Math.round(ago)))}</time>
}

/** Says whether a view shows what is, or what was. */
export function Freshness({ of, short = false }: { of: Pick<Polled<unknown>, 'at' | 'every' | 'error'>; short?: boolean }) {
  const now = useNow()
  if (of.at === undefined) return <span className="fresh">{of.error ? 'no answer yet' : 'asking …'}</span>
  const old = (now - of.at) / 1000
  if (old < (2 * of.every) / 1000 + 3 && !of.error) return <span className="fresh live">{short ? 'live' : `every ${format.seconds(of.every / 1000)}`}</span>
  return <span className="fresh stale">last answer {format.seconds(Math.max(1, Math.round(old)))} ago</span>
}

/** An error, and what to do about it. */
export function Problem({ error, children }: { error: ApiError | undefined; children?: ReactNode }) {
  if (!error || error.code === 'unauthorized') return null
  return (
    <div className="problem" role="alert">
      <p>
        <strong>{error.message}</strong> {advice(error)}
      </p>
      {children}
    </div>
  )
}

/** A command of the terminal, for what the API does not do. */
export function Command({ text, children }: { text: string; children: ReactNode }) {
  const [copied, setCopied] = useState(false)
  return (
    <div className="command">
      <p>{children}</p>
      <code>{text}</code>
      <button type="button" onClick={() => void navigator.clipboard?.writeText(text).then(() => setCopied(true), () => undefined)}>
        {copied ? 'Copied' : 'Copy'}
      </button>
    </div>
  )
}

/** JSON as text, indented, with its keys set apart. Markup in it stays text. */
export function Json({ value, label }: { value: unknown; label: string }) {
  const text = JSON.stringify(value, null, 2) ?? 'null'
  const parts = text.split(/("(?:[^"\\]|\\.)*"(?=:))/)
  return (
    <pre className="json" tabIndex={0} role="region" aria-label={label}>
      {parts.map((part, i) => (i % 2 === 1 ? <span key={i}>{part}</span> : part))}
    </pre>
  )
}

export interface Column<T> {
  title: string
  render: (item: T) => ReactNode
  /** Numbers stand at the right. */
  number?: boolean
  /** Left out on narrow screens. */
  wide?: boolean
}

/** A table of few rows. The box that scrolls it is no landmark: the section around it may have the same name. */
export function Table<T>({ label, columns, rows, rowKey, empty = 'None.' }: { label: string; columns: Column<T>[]; rows: readonly T[]; rowKey: (row: T) => string | number; empty?: string }) {
  return (
    <div className="scroll" tabIndex={0} role="group" aria-label={`${label}: rows`}>
      <table aria-label={label}>
        <thead>
          <tr>{columns.map((column) => <th key={column.title} scope="col" className={cellClass(column)}>{column.title}</th>)}</tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={rowKey(row)}>{columns.map((column) => <td key={column.title} className={cellClass(column)}>{column.render(row)}</td>)}</tr>
          ))}
          {rows.length === 0 && <tr><td className="quiet" colSpan={columns.length}>{empty}</td></tr>}
        </tbody>
      </table>
    </div>
  )
}

function cellClass({ number, wide }: { number?: boolean; wide?: boolean }): string | undefined {
  return [number ? 'number' : '', wide ? 'wide' : ''].join(' ').trim() || undefined
}

interface ListProperties<T> {
  label: string
  /** Names the widths of the columns in the style sheet. */
  layout: string
  columns: Column<T>[]
  items: readonly T[]
  itemKey: (item: T) => string | number
  selected?: string | number | undefined
  onOpen?: (item: T) => void
  /** The end of what is loaded is in sight. */
  onEnd?: () => void
  empty: ReactNode
}

const rowHeight = 30
/** Rows beyond the visible ones, for fast scrolling. */
const beyond = 8

/** A list of any length: only the rows in sight are in the page. Arrow keys and j, k select, Enter opens. */
export function VirtualList<T>({ label, layout, columns, items, itemKey, selected, onOpen, onEnd, empty }: ListProperties<T>) {
  const box = useRef<HTMLDivElement>(null)
  const [view, setView] = useState({ top: 0, height: 600 })
  const [active, setActive] = useState(-1)

  useLayoutEffect(() => {
    const element = box.current
    if (!element) return
    const measure = () => setView({ top: element.scrollTop, height: element.clientHeight || 600 })
    measure()
    const resized = new ResizeObserver(measure)
    resized.observe(element)
    return () => resized.disconnect()
  }, [])

  const first = Math.max(0, Math.floor(view.top / rowHeight) - beyond)
  const last = Math.min(items.length, Math.ceil((view.top + view.height) / rowHeight) + beyond)
  const atEnd = last >= items.length
  useEffect(() => {
    if (atEnd) onEnd?.()
  }, [atEnd, items.length, onEnd])

  const press = (event: KeyboardEvent) => {
    const step = ({ ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: 15, PageUp: -15, Home: -items.length, End: items.length } as Record<string, number>)[event.key]
    if (step !== undefined && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault()
      const from = active >= 0 ? active : items.findIndex((item) => itemKey(item) === selected)
      const next = Math.max(0, Math.min(items.length - 1, from + step))
      setActive(next)
      const element = box.current
      if (element) {
        if (next * rowHeight < element.scrollTop) element.scrollTop = next * rowHeight
        else if ((next + 1) * rowHeight > element.scrollTop + element.clientHeight) element.scrollTop = (next + 1) * rowHeight - element.clientHeight
      }
    }
    const item = items[active]
    if (event.key === 'Enter' && item !== undefined && event.target === box.current) onOpen?.(item)
  }

  return (
    <div className={`list ${layout}`} role="table" aria-label={label} aria-rowcount={items.length + 1}>
      <div role="rowgroup">
        <div className="row head" role="row" aria-rowindex={1}>
          {columns.map((column) => <div key={column.title} role="columnheader" className={cellClass(column)}>{column.title}</div>)}
        </div>
      </div>
      <div className="rows" role="rowgroup" tabIndex={0} aria-label={`${label}: rows`} ref={box} onKeyDown={press} onScroll={({ currentTarget }) => setView({ top: currentTarget.scrollTop, height: currentTarget.clientHeight })}>
        {items.length === 0 && <div role="row"><div role="cell" className="quiet pad">{empty}</div></div>}
        <div style={{ height: first * rowHeight }} />
        {items.slice(first, last).map((item, i) => {
          const index = first + i
          const key = itemKey(item)
          return (
            <div
              key={key}
              role="row"
              aria-rowindex={index + 2}
              aria-selected={key === selected || undefined}
              className={`row ${index === active ? 'active' : ''} ${onOpen ? 'opens' : ''}`}
              onClick={(event) => {
                setActive(index)
                if (!(event.target as HTMLElement).closest('a, input, button')) onOpen?.(item)
              }}
            >
              {columns.map((column) => <div key={column.title} role="cell" className={cellClass(column)}>{column.render(item)}</div>)}
            </div>
          )
        })}
        <div style={{ height: Math.max(0, items.length - last) * rowHeight }} />
      </div>
    </div>
  )
}

/** A dialog over the page. Escape closes it. */
export function Dialog({ title, onClose, children }: { title: string; onClose: () => void; children: ReactNode }) {
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => dialog.current?.showModal(), [])
  return (
    <dialog ref={dialog} aria-labelledby="dialog-title" onClose={onClose} onClick={(event) => event.target === event.currentTarget && onClose()}>
      <div className="dialog">
        <h2 id="dialog-title">{title}</h2>
        {children}
      </div>
    </dialog>
  )
}

/** What an operator does with a button, and what came of it. */
export function useChange<T>(): { run: (change: () => Promise<T>) => void; busy: boolean; result: T | undefined; error: ApiError | undefined; clear: () => void } {
  const [state, setState] = useState<{ busy: boolean; result?: T; error?: ApiError }>({ busy: false })
  const run = (change: () => Promise<T>) => {
    setState({ busy: true })
    change().then(
      (result) => setState({ busy: false, result }),
      (error: unknown) => setState({ busy: false, error: error instanceof ApiError ? error : new ApiError(0, 'console', String(error)) }),
    )
  }
  return { run, busy: state.busy, result: state.result, error: state.error, clear: () => setState({ busy: false }) }
}

/** A name and its figure. */
export function Stat({ name, value, note, tone }: { name: string; value: ReactNode; note?: ReactNode; tone?: 'bad' | 'warn' | undefined }) {
  return (
    <div className={`stat ${tone ?? ''}`}>
      <dt>{name}</dt>
      <dd>
        {value}
        {note !== undefined && <small>{note}</small>}
      </dd>
    </div>
  )
}
