import type { Health } from './api/client.js'
import { by, type Figures, sum } from './figures.js'

/** Something that needs an operator, as the alert of that name sees it. */
export interface Condition {
  severity: 'bad' | 'warn'
  title: string
  detail: string
  /** The section of docs/ops/runbook.md. */
  runbook?: string
}

/** Returns what is wrong now, the worst first. */
export function conditions(figures: Figures | undefined, health: Health | undefined): Condition[] {
  const found: Condition[] = []
  const add = (severity: Condition['severity'], title: string, detail: string, runbook?: string) =>
    found.push({ severity, title, detail, ...(runbook ? { runbook } : {}) })
  for (const [part, text] of Object.entries(health?.parts ?? {})) {
    if (text !== 'ok') add(health?.state === 'degraded' ? 'warn' : 'bad', `${part} is not well`, text)
  }
  if (!figures) return found
  const value = (name: string) => sum(figures, name)
  if (value('realtime_eventstore_log_full')) add('bad', 'The log is full', 'It refuses events until there is room.', 'RealtimeLogFull')
  if (value('realtime_ingest_subscribed') === 0) add('bad', 'Not subscribed to Redis', 'What workers publish does not arrive.', 'RealtimeRedisLost')
  if (value('realtime_eventstore_unreadable_records')) add('bad', 'The log is damaged', `${value('realtime_eventstore_unreadable_records')} records cannot be read.`, 'RealtimeLogDamaged')
  for (const { name, labels = {}, value: set } of figures.values) {
    if (name === 'realtime_app_canary_failing' && set === 1) add('bad', `Need not met: ${labels['leg']}`, `Cause: ${labels['cause']}.`, 'RealtimeNeedNotMet')
    if (name === 'realtime_eventstore_stream_flaws' && set === 1) add('bad', 'The stream of events was edited', `Flaw: ${labels['flaw']}.`, 'RealtimeStreamEdited')
  }
  for (const [projection, up] of by(figures, 'realtime_projections_up', 'projection')) {
    if (up === 0) add('bad', `MongoDB does not take ${projection}`, 'The read model stands still. Catch-up is served from the log meanwhile.')
  }
  const bytes = value('realtime_eventstore_log_bytes')
  const max = value('realtime_eventstore_log_max_bytes')
  if (bytes !== null && max && bytes / max > 0.8) add('warn', 'The log is nearly full', `${Math.round((100 * bytes) / max)} % of its room are used.`)
  return found.sort((a, b) => Number(a.severity === 'warn') - Number(b.severity === 'warn'))
}
