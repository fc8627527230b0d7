import { useMutation } from '@tanstack/react-query'
import { Fragment, memo } from 'react'
import { useDesk } from './desk.js'
import { type LoggedEvent, mostEvents, olderEvents, type View } from './timeline.js'
import { tell, timeWord } from './words.js'

/** The events of a job, the newest first, with a button for older ones. */
export function TimelineList({ jobId, view }: { jobId: string; view: View }) {
  const { events, breaks } = view
  return (
    <>
      <h3 className="unseen">What has happened, the newest first</h3>
      <ol className="timeline">
        {events.toReversed().map((event) => {
          const line = breaks.find(({ after }) => after === event.sequence)
          return (
            <Fragment key={event.sequence}>
              {line && <li className="break">{line.missed === 1 ? 'The event above came' : `The ${line.missed} events above came`} while you were not connected</li>}
              <Item event={event} />
            </Fragment>
          )
        })}
      </ol>
      <Older jobId={jobId} view={view} />
    </>
  )
}

const Item = memo(function Item({ event }: { event: LoggedEvent }) {
  const { headline, sentence, facts } = tell(event)
  return (
    <li data-kind={event.kind} data-sequence={event.sequence}>
      <time dateTime={event.emittedAt}>{timeWord(event.emittedAt)}</time>
      <div>
        <p className="headline">{headline}</p>
        {sentence && <p className="sentence">{sentence}</p>}
        {facts.length > 0 && <p className="small">{facts.map(([name, value]) => `${name} ${value}`).join(' · ')}</p>}
      </div>
      <span className="sequence" aria-label={`sequence ${event.sequence}`}>#{event.sequence}</span>
    </li>
  )
})

/** Fetches the events before the oldest one, when the reader requests them. */
function Older({ jobId, view }: { jobId: string; view: View }) {
  const desk = useDesk()
  const { mutate, isPending, isError } = useMutation({
    networkMode: 'always',
    mutationFn: async () => {
      const timeline = desk.timeline(jobId)
      const before = timeline.oldest
      if (before === undefined) return
      timeline.unfold()
      const { events, epoch } = await desk.client.page(jobId, { before: timeline.positionOf(before), limit: olderEvents })
      timeline.within(epoch)
      timeline.prepend(events.toReversed(), before)
    },
  })
  if (view.beginning) return <p className="end">This is where it began.</p>
  if (view.events.length >= mostEvents) return <p className="end">That is as far back as this page goes.</p>
  return (
    <p className="end">
      <button type="button" onClick={() => mutate()} disabled={isPending}>{isPending ? 'Loading' : 'Show older'}</button>
      {isError && <span role="alert"> That did not work. Try it again in a moment.</span>}
    </p>
  )
}
