import type { ComponentType } from 'react'
import { Audit } from './views/audit.js'
import { Gone } from './views/gone.js'
import { Job } from './views/job.js'
import { Jobs } from './views/jobs.js'
import { Letters } from './views/letters.js'
import { Log } from './views/log.js'
import { Overview } from './views/overview.js'
import { Projections } from './views/projections.js'
import { Revocations } from './views/revocations.js'
import { Settings } from './views/settings.js'
import { Sockets } from './views/sockets.js'
import { Work } from './views/work.js'

export interface View {
  name: string
  title: string
  /** The letter that goes here after g; none for views that stand below another one. */
  letter?: string
  /** The view in the navigation that it belongs to. */
  below?: string
  component: ComponentType
}

export const views: readonly View[] = [
  { name: 'overview', title: 'Overview', letter: 'o', component: Overview },
  { name: 'jobs', title: 'Jobs', letter: 'j', component: Jobs },
  { name: 'job', title: 'Job', below: 'jobs', component: Job },
  { name: 'sockets', title: 'Sockets', letter: 'k', component: Sockets },
  { name: 'gone', title: 'Gone', below: 'sockets', component: Gone },
  { name: 'letters', title: 'Dead letters', letter: 'd', component: Letters },
  { name: 'projections', title: 'Projections', letter: 'p', component: Projections },
  { name: 'work', title: 'Work', letter: 'w', component: Work },
  { name: 'log', title: 'Log', letter: 'l', component: Log },
  { name: 'revocations', title: 'Revocations', letter: 'r', component: Revocations },
  { name: 'audit', title: 'Audit', letter: 'a', component: Audit },
  { name: 'settings', title: 'Settings', letter: 's', component: Settings },
]
