import { useCallback, useEffect, useRef, useState } from 'react'
import { type Answer, ApiError, get } from '../api/client.js'
import { whole } from '../format.js'
import { go, href, useParam } from '../route.js'
import { Problem, VirtualList } from '../ui.js'

type Row = Answer<'/jobs'>['items'][number]

const pageRows = 200
/** The page holds at most so many rows; a longer list is searched. */
const maxRows = 20_000

export function Jobs() {
  const [prefix, setPrefix] = useParam('q')
  const [typed, setTyped] = useState(prefix)
  const [state, setState] = useState<{ rows: Row[]; next: string; partial: boolean; asked: boolean; error?: ApiError }>({ rows: [], next: '', partial: false, asked: false })
  const asking = useRef<AbortController | undefined>(undefined)

  useEffect(() => setTyped(prefix), [prefix])
  useEffect(() => {
    if (typed === prefix) return
    const timer = setTimeout(() => setPrefix(typed), 200)
    return () => clearTimeout(timer)
  }, [typed, prefix, setPrefix])

  const load = useCallback(async (after: string) => {
    if (after && asking.current) return
    asking.current?.abort()
    const abort = new AbortController()
    asking.current = abort
    try {
      const page = await get('/jobs', { prefix, after, limit: pageRows }, abort.signal)
      setState((before) => ({ rows: after ? [...before.rows, ...page.items] : page.items, next: page.next ?? '', partial: page.partial, asked: true }))
    } catch (error) {
      if (!abort.signal.aborted) setState((before) => ({ ...before, next: '', asked: true, error: error as ApiError }))
    } finally {
      if (asking.current === abort) asking.current = undefined
    }
  }, [prefix])
  useEffect(() => {
    setState({ rows: [], next: '', partial: false, asked: false })
    void load('')
    return () => asking.current?.abort()
  }, [load])
  const { rows, next } = state
  const more = useCallback(() => {
    if (next && rows.length < maxRows) void load(next)
  }, [next, rows.length, load])

  return (
    <>
      <div className="title">
        <h1>Jobs</h1>
        <label className="search">
          <span className="hidden">Job ids that begin with</span>
          <input type="search" placeholder="jobId begins with …" value={typed} spellCheck={false} onChange={({ target }) => setTyped(target.value)} onKeyDown={({ key }) => {
            if (key === 'Enter' && typed) go(href('job', { id: rows[0]?.jobId.startsWith(typed) && rows.length === 1 ? rows[0].jobId : typed }))
          }} />
        </label>
        <p className="quiet" aria-live="polite">{state.asked ? `${whole(rows.length)}${next ? '+' : ''} ${rows.length === 1 ? 'job' : 'jobs'}` : 'asking …'}{state.partial ? ', of the part of the log that was looked at: search by a longer beginning' : ''}</p>
        <button type="button" onClick={() => void load('')}>Refresh</button>
      </div>
      <Problem error={state.error} />
      <VirtualList label="Jobs" layout="jobs" items={rows} itemKey={({ jobId }) => jobId} onEnd={more} onOpen={({ jobId }) => go(href('job', { id: jobId }))}
        empty={state.asked ? (prefix ? `No jobId begins with “${prefix}”. Enter opens it nevertheless.` : 'The log has no jobs.') : 'Asking …'}
        columns={[
          { title: 'Job', render: ({ jobId }) => <a className="id" href={href('job', { id: jobId })}>{jobId}</a> },
          { title: 'Events', number: true, render: ({ events }) => whole(events) },
        ]} />
    </>
  )
}
