import { writeFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import type { Receipt } from '@letswriteabook/realtime-publisher'
import { expect, inject, onTestFinished, test } from 'vitest'
import { picture, Reader } from '../support/browser.js'
import { JobPage, jobPageFolder, listed } from '../support/jobpage.js'
import { screenshots } from '../support/setup.js'
import { Stack } from '../support/stack.js'
import { judge, type Sample, Scales } from './heap.js'

const seconds = Number(process.env['SOAK_SECONDS'] ?? 3600)
const perSecond = Number(process.env['SOAK_RATE'] ?? 50)
/** How many events the page shows of a job that is only watched. */
const watched = 200
const samplesWanted = 60
/** How much more the last third may weigh than the middle one: what a heap breathes. */
const breathBytes = 1_500_000

test(`a page that is open for ${seconds} s at ${perSecond} events/s stays as heavy as it is`, async () => {
  const stack = await Stack.start({ programs: inject('programs'), folders: { '/': jobPageFolder }, config: { jobs: listed } })
  onTestFinished(() => stack.stop())
  const reader = await Reader.start()
  onTestFinished(() => reader.close())
  const job = new JobPage(await reader.open(stack.site.url))
  await job.isLive()
  const scales = await Scales.of(job.page)

  const newest: Receipt[] = []
  const samples: Sample[] = []
  const began = Date.now()
  let published = 0
  for (let round = 1; round <= samplesWanted; round++) {
    const roundEnds = began + (round * seconds * 1000) / samplesWanted
    while (Date.now() < roundEnds) {
      const due = Math.floor(((Date.now() - began) / 1000) * perSecond) - published
      published += due
      newest.push(...await stack.chapters('novel-1', due))
      newest.splice(0, Math.max(0, newest.length - watched))
      await delay(100)
    }
    await job.shows(newest)
    const sample = { seconds: Math.round((Date.now() - began) / 1000), events: published, ...await scales.weigh() }
    samples.push(sample)
    console.log(`${sample.seconds} s: ${sample.events} events, heap ${(sample.heapBytes / 1e6).toFixed(2)} MB, ${sample.nodes} nodes, ${sample.listeners} listeners`)
  }

  const verdict = judge(samples)
  const { middleBytes, lastBytes, bytesPerHour } = verdict
  console.log(`heap: ${(middleBytes / 1e6).toFixed(2)} MB in the middle third, ${(lastBytes / 1e6).toFixed(2)} MB in the last, ${(bytesPerHour / 1e6).toFixed(2)} MB/h`)
  writeFileSync(`${screenshots}soak.json`, JSON.stringify({ seconds, perSecond, published, verdict, samples }, null, 2))
  await picture(job.page, 'soak')
  expect(lastBytes - middleBytes).toBeLessThan(breathBytes)
  expect(reader.complaints()).toEqual([])
}, (seconds + 300) * 1000)
