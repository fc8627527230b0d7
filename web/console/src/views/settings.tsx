import { get } from '../api/client.js'
import { usePoll } from '../api/poll.js'
import { useParam } from '../route.js'
import { Freshness, Problem, Table } from '../ui.js'

export function Settings() {
  const polled = usePoll('settings', (signal) => get('/settings', undefined, signal), 10_000)
  const [search, setSearch] = useParam('q')
  const [only, setOnly] = useParam('changed')
  const all = polled.data?.items ?? []
  const words = search.toLowerCase()
  const changed = ({ value, default: unset }: { value: string; default: string }) => value !== unset
  const rows = all.filter((row) => (!only || changed(row)) && `${row.name} ${row.value} ${row.meaning}`.toLowerCase().includes(words))
  return (
    <>
      <div className="title">
        <h1>Settings</h1>
        <label className="search"><span className="hidden">Search the settings</span><input type="search" placeholder="search" value={search} onChange={({ target }) => setSearch(target.value)} /></label>
        <label><input type="checkbox" checked={only !== ''} onChange={({ target }) => setOnly(target.checked ? '1' : '')} /> not the default</label>
        <p className="quiet">of the process that answered, passwords hidden</p>
        <Freshness of={polled} />
      </div>
      <Problem error={polled.error} />
      <Table label="Settings" rows={rows} rowKey={({ name }) => name} empty={polled.data ? 'No setting matches.' : 'Asking …'} columns={[
        { title: 'Setting', render: ({ name }) => <code>{name}</code> },
        { title: 'Value', render: (row) => <span className={`id ${changed(row) ? 'changed' : ''}`}>{row.value || <span className="quiet">not set</span>}</span> },
        { title: 'Default', wide: true, render: (row) => <span className="id quiet">{changed(row) ? row.default || 'not set' : ''}</span> },
        { title: 'Meaning', wide: true, render: ({ meaning }) => meaning },
        { title: 'Reload', wide: true, render: ({ reload }) => (reload ? 'SIGHUP' : 'restart') },
      ]} />
    </>
  )
}
