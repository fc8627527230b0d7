import { count, whole } from '../format.js'
import { href } from '../route.js'
import { Table } from '../ui.js'
import type { Piece } from './progress.js'

/** How a projection compares with the log, as verify and rebuild return it. */
interface Report {
  equal: boolean
  expected: number
  found: number
  differences?: { what: string; job: string; sequence: number }[]
}

/** The report of a piece of work that has compared a projection with the log. */
function reportOf({ kind, result }: Pick<Piece, 'kind' | 'result'>): Report | undefined {
  if (kind === 'verify') return (result ?? undefined) as Report | undefined
  if (kind === 'rebuild' || kind === 'swap') return (result as { swapped?: { compared?: Report } } | null | undefined)?.swapped?.compared
  return undefined
}

/** Whether the projection has what the log says. */
export function Outcome({ of }: { of: Pick<Piece, 'kind' | 'result'> }) {
  const report = reportOf(of)
  return report ? <b className={report.equal ? 'good' : 'bad'}>{report.equal ? 'Equal' : 'Not equal'}</b> : null
}

/** What was compared, and the first differences. */
export function Comparison({ of }: { of: Pick<Piece, 'kind' | 'result'> }) {
  const report = reportOf(of)
  if (!report) return null
  return (
    <>
      <p className="compared">The log gives {count(report.expected)} documents. The collection has {count(report.found)} for the same events.</p>
      {!report.equal && (
        <Table label="First differences" rows={report.differences ?? []} rowKey={({ what, job, sequence }) => `${what} ${sequence} ${job}`} empty="No difference is listed." columns={[
          { title: 'Difference', render: ({ what }) => what },
          { title: 'Job', render: ({ job }) => <a className="id" href={href('job', { id: job })}>{job}</a> },
          { title: 'Sequence', number: true, render: ({ job, sequence }) => <a href={href('job', { id: job, at: sequence })}>{whole(sequence)}</a> },
        ]} />
      )}
    </>
  )
}
