import { get } from '../api/client.js'
import { usePoll } from '../api/poll.js'
import { count, whole } from '../format.js'
import { href } from '../route.js'
import { Age, Command, Freshness, Problem, Table } from '../ui.js'
import { quoted } from './quoted.js'
import { Missing } from './sockets.js'

const rows = 200

/** Who follows a job: where, since when, and how far behind. */
export function Followers({ jobId }: { jobId: string }) {
  const polled = usePoll(`followers of ${jobId}`, (signal) => get('/job/followers', { jobId, limit: rows }, signal), 2000)
  return (
    <section className="detail" aria-label="Followers">
      <h2>Followers <Freshness of={polled} short /></h2>
      <Problem error={polled.error} />
      <Missing missing={polled.data?.missing} />
      <Table label="Followers" rows={polled.data?.items ?? []} rowKey={({ id, gateway }) => `${id} ${gateway}`} empty={polled.data ? 'No client follows the job.' : 'Asking …'} columns={[
        { title: 'Client', render: ({ id, gateway, subject }) => (
          <>
            <a className="id" href={href('sockets', { by: 'jobId', value: jobId, id })}>{id}</a>
            <small className="under id">{subject && `${subject}, `}at {gateway}</small>
          </>
        ) },
        { title: 'For', number: true, render: ({ since }) => <Age time={since} /> },
        { title: 'State', render: ({ state }) => state },
        { title: 'Cursor', number: true, render: ({ cursor }) => <a href={href('job', { id: jobId, at: cursor || undefined })}>{whole(cursor)}</a> },
        { title: 'Behind', number: true, render: ({ behind }) => <span className={behind ? 'warn' : ''}>{count(behind)}</span> },
      ]} />
      {polled.data?.next && <p>These are the first {rows}. <a href={href('sockets', { by: 'jobId', value: jobId })}>All of them</a></p>}
      <Command text={`realtime tail ${quoted(jobId)}`}>Follow the job in a terminal:</Command>
    </section>
  )
}
