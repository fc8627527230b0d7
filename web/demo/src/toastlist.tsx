import { useSyncExternalStore } from 'react'
import { useDesk } from './desk.js'
import type { Toast } from './toasts.js'
import { useCountdown } from './usecountdown.js'

/** The messages that are shown over the page. */
export function ToastList() {
  const { toasts } = useDesk()
  const shown = useSyncExternalStore(toasts.subscribe, toasts.shown)
  return (
    <section className="toasts" aria-label="Messages" aria-live="polite">
      {shown.map((toast) => <ToastItem key={toast.key} toast={toast} onDismiss={() => {
        toast.onDismiss?.()
        toasts.dismiss(toast.key)
      }} />)}
    </section>
  )
}

function ToastItem({ toast, onDismiss }: { toast: Toast; onDismiss: () => void }) {
  const left = useCountdown(toast.retryAt)
  return (
    <div className="toast" data-tone={toast.tone} role={toast.tone === 'problem' ? 'alert' : undefined}>
      <p><strong>{toast.title}</strong></p>
      <p>{toast.text}</p>
      {toast.action && (
        <p className="again">
          <button type="button" onClick={toast.action.run}>{toast.action.label}</button> <span aria-hidden="true">{left}</span>
        </p>
      )}
      <button type="button" className="close" onClick={onDismiss} aria-label={`Dismiss: ${toast.title}`}>×</button>
    </div>
  )
}
