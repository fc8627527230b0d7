import { type ReactNode, useEffect, useRef, useState } from 'react'

interface Question {
  /** What the button that confirms does, in a few words: "Remove 3 letters". */
  action: string
  /** What will happen, and whether it can be undone. */
  children: ReactNode
  /** What the operator has to fill in first. */
  fields?: ReactNode
  /** Whether the fields are filled in. */
  ready?: boolean
  onConfirm: () => void
}

/** A button for a change that destroys something. It asks in place before it changes anything. */
export function Confirm({ label, disabled = false, onAsk, ...question }: Question & { label: string; disabled?: boolean; onAsk?: () => void }) {
  const [asking, setAsking] = useState(false)
  const button = useRef<HTMLButtonElement>(null)
  const opened = useRef(false)
  useEffect(() => {
    if (!asking && opened.current) button.current?.focus()
    opened.current = asking
  }, [asking])
  return (
    <>
      <button ref={button} type="button" className="danger" aria-expanded={asking} disabled={disabled} onClick={() => {
        if (!asking) onAsk?.()
        setAsking(!asking)
      }}>{label} …</button>
      {asking && !disabled && <Ask {...question} onClose={() => setAsking(false)} />}
    </>
  )
}

/** The question in place, which has the focus. Escape closes it. */
export function Ask({ action, children, fields, ready = true, onConfirm, onClose }: Question & { onClose: () => void }) {
  const box = useRef<HTMLFormElement>(null)
  useEffect(() => {
    box.current?.querySelector<HTMLElement>('input, button[type=button]')?.focus()
  }, [])
  return (
    <form ref={box} className="ask" role="group" aria-label={`Confirm: ${action}`} onKeyDown={(event) => {
      if (event.key !== 'Escape') return
      event.stopPropagation()
      onClose()
    }} onSubmit={(event) => {
      event.preventDefault()
      if (!ready) return
      onClose()
      onConfirm()
    }}>
      <p>{children}</p>
      {fields}
      <div className="buttons">
        <button type="submit" className="danger" disabled={!ready}>{action}</button>
        <button type="button" onClick={onClose}>Cancel</button>
      </div>
    </form>
  )
}
