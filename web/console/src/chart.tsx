import { useEffect, useMemo, useRef, useState } from 'react'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { theme } from './theme.js'
import { useStore } from './store.js'

export interface Line {
  label: string
  /** One value a time; null where there is none. */
  values: (number | null)[]
}

interface Properties {
  title: string
  times: number[]
  lines: Line[]
  write: (value: number | null | undefined) => string
  /** The largest value that the scale has at least. */
  least?: number
  /** The values are whole numbers, and so are the marks of the scale. */
  integers?: boolean
}

const height = 132
/** Charts show at least so many seconds, so that the first points do not jump. */
const shortest = 60
/** The steps of a scale of whole numbers. */
const whole = Array.from({ length: 10 }, (_, exponent) => [1, 2, 5].map((step) => step * 10 ** exponent)).flat()
/** The charts of a page show one moment together. */
const sync = uPlot.sync('charts')

/** The time that a chart shows. For a single point uPlot suggests 1000 days. */
export function range(times: ArrayLike<number>): [number, number] {
  const last = times[times.length - 1] ?? 0
  return [Math.min(times[0] ?? last, last - shortest), last]
}

/** A chart over time, whose legend has the values under the pointer or else the newest ones. */
export function Chart({ title, times, lines, write, least = 1, integers = false }: Properties) {
  const box = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | undefined>(undefined)
  const [at, setAt] = useState<number | null>(null)
  const look = useStore(theme)
  const data = useMemo(() => [times, ...lines.map(({ values }) => values)] as uPlot.AlignedData, [times, lines])
  const newest = useRef(data)
  newest.current = data
  const writing = useRef(write)
  writing.current = write
  const names = lines.map(({ label }) => label).join('\n')

  useEffect(() => {
    const element = box.current
    if (!element || !document.createElement('canvas').getContext('2d')) return
    const build = () => {
      plot.current?.destroy()
      const style = getComputedStyle(element)
      // A canvas needs the colour that a variable has in the theme.
      const color = (name: string) => {
        element.style.color = `var(${name})`
        return style.color
      }
      const font = `11px ${style.fontFamily}`
      const axis = { stroke: color('--muted'), font, grid: { stroke: color('--line'), width: 1 }, ticks: { show: false } }
      plot.current = new uPlot(
        {
          width: element.clientWidth,
          height,
          padding: [8, 4, 0, 0],
          legend: { show: false },
          cursor: { sync: { key: sync.key }, points: { size: 5 }, drag: { x: false, y: false } },
          scales: {
            x: { range: ({ data: [shown] }) => range(shown) },
            y: { range: (_plot, _min, max) => [0, Math.max(least, (max ?? 0) * 1.1)] },
          },
          axes: [
            { ...axis, size: 22, space: 70, values: (_plot, splits) => splits.map((time) => new Date(time * 1000).toTimeString().slice(0, 8)) },
            { ...axis, size: 62, space: 34, ...(integers ? { incrs: whole } : {}), values: (_plot, splits) => splits.map((value) => writing.current(value)) },
          ],
          series: [{}, ...names.split('\n').map((label, i) => ({ label, stroke: color(`--series-${i + 1}`), width: 1.5, points: { show: false } }))],
          hooks: { setCursor: [({ cursor }) => setAt(cursor.idx ?? null)] },
        },
        newest.current,
        element,
      )
      element.style.color = ''
    }
    build()
    const resized = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height }))
    resized.observe(element)
    const dark = matchMedia('(prefers-color-scheme: dark)')
    dark.addEventListener('change', build)
    return () => {
      resized.disconnect()
      dark.removeEventListener('change', build)
      plot.current?.destroy()
      plot.current = undefined
    }
  }, [look, names, least, integers])

  useEffect(() => plot.current?.setData(data), [data])

  const index = at ?? times.length - 1
  return (
    <figure className="chart">
      <figcaption>
        <span className="chart-title">{title}</span>
        <ul className="legend">
          {lines.map(({ label, values }, i) => (
            <li key={label}>
              <i className={`swatch series-${i + 1}`} aria-hidden="true" />
              {label} <b>{write(values[index])}</b>
            </li>
          ))}
        </ul>
      </figcaption>
      <div className="plot" ref={box} aria-hidden="true" />
    </figure>
  )
}
