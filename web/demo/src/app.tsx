import { useEffect, useRef } from 'react'
import { ConnectionBadge, ConnectionToasts } from './connection.js'
import { useDesk } from './desk.js'
import { Feed } from './feed.js'
import { useFollowing } from './following.js'
import { JobDetail } from './jobdetail.js'
import { JobList } from './joblist.js'
import { jobAddress, listAddress, useRoute } from './route.js'
import { ToastList } from './toastlist.js'

/** The page: the list beside the chosen job, or on a narrow screen one of the two. */
export function App() {
  const desk = useDesk()
  const { config } = desk
  const { jobs, follow, leave } = useFollowing(config.jobs)
  const route = useRoute()
  const selected = jobs.find(({ id }) => id === route)
  const shown = selected ?? jobs[0]
  // A reader who chooses a job with the keyboard continues from there.
  const last = useRef(route)
  useEffect(() => {
    if (last.current !== route) document.getElementById('job-title')?.focus()
    last.current = route
  }, [route])

  return (
    <>
      <header className="top">
        <h1><a href={listAddress}>Novels in the making</a></h1>
        <ConnectionBadge />
      </header>
      <main className={selected ? 'columns looking' : 'columns'}>
        <JobList
          jobs={jobs}
          current={shown?.id}
          onFollow={(jobId) => {
            follow(jobId)
            location.hash = jobAddress(jobId)
          }}
        />
        {shown ? (
          <JobDetail
            key={shown.id}
            job={shown}
            onLeave={() => {
              leave(shown.id)
              desk.forget(shown.id)
              location.hash = listAddress
            }}
          />
        ) : (
          <section className="detail placeholder" aria-label="Job">
            <p>You follow no job yet. Enter the id of one to see it here.</p>
          </section>
        )}
      </main>
      {config.help && <footer className="foot"><a href={config.help}>How to publish an event of your own</a></footer>}
      <ToastList />
      <ConnectionToasts />
      {jobs.map(({ id, title }) => <Feed key={id} jobId={id} title={title} />)}
    </>
  )
}
