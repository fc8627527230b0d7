/** How figures are written: the same unit in the same way everywhere. */

const none = '–'

/** Numbers of at most about four digits: 7, 9,999, 12.3 k, 4.56 M. */
export function count(value: number | null | undefined): string {
  if (value == null || !Number.isFinite(value)) return none
  if (Math.abs(value) < 10_000) return Math.round(value).toLocaleString('en')
  for (const [unit, size] of [['G', 1e9], ['M', 1e6], ['k', 1e3]] as const) {
    if (Math.abs(value) >= size) return `${digits(value / size)} ${unit}`
  }
  return String(value)
}

/** A whole number in full. */
export function whole(value: number): string {
  return value.toLocaleString('en')
}

export function rate(value: number | null | undefined): string {
  if (value == null || !Number.isFinite(value)) return none
  return `${value === 0 || value >= 1000 ? count(value) : digits(value)}/s`
}

export function bytes(value: number | null | undefined): string {
  if (value == null || !Number.isFinite(value)) return none
  for (const [unit, size] of [['TiB', 2 ** 40], ['GiB', 2 ** 30], ['MiB', 2 ** 20], ['KiB', 2 ** 10]] as const) {
    if (Math.abs(value) >= size) return `${digits(value / size)} ${unit}`
  }
  return `${Math.round(value)} B`
}

/** A duration in seconds: 340 µs, 12.3 ms, 1.25 s, 4 m 10 s, 3 h 12 m, 5 d 3 h. */
export function seconds(value: number | null | undefined): string {
  if (value == null || !Number.isFinite(value)) return none
  if (value < 0) return `−${seconds(-value)}`
  if (value === 0) return '0 s'
  if (value < 0.001) return `${Math.max(1, Math.round(value * 1e6))} µs`
  if (value < 1) return `${digits(value * 1e3)} ms`
  if (value < 60) return `${digits(value)} s`
  const total = Math.round(value)
  const parts = [[Math.floor(total / 86_400), 'd'], [Math.floor(total / 3600) % 24, 'h'], [Math.floor(total / 60) % 60, 'm'], [total % 60, 's']] as const
  const first = parts.findIndex(([amount]) => amount > 0)
  return parts.slice(first, first + 2).filter(([amount]) => amount > 0).map(([amount, unit]) => `${amount} ${unit}`).join(' ')
}

export function percent(value: number | null | undefined): string {
  if (value == null || !Number.isFinite(value)) return none
  return `${value < 0.1 && value > 0 ? '< 0.1' : digits(value)} %`
}

/** The time of day, with the date unless it is today's. */
export function clock(time: string | number | undefined, now = new Date()): string {
  if (time === undefined) return none
  const date = new Date(time)
  if (Number.isNaN(date.getTime())) return String(time)
  const two = (part: number, width = 2) => String(part).padStart(width, '0')
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`
  const today = date.toDateString() === now.toDateString()
  return `${today ? '' : `${day} `}${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${two(date.getMilliseconds(), 3)}`
}

/** How long ago a time was, in seconds; null for what is no time. */
export function age(time: string | number | undefined, now = Date.now()): number | null {
  const at = new Date(time ?? NaN).getTime()
  return Number.isNaN(at) ? null : (now - at) / 1000
}

/** Three significant digits. */
function digits(value: number): string {
  const size = Math.abs(value)
  return value.toFixed(size >= 100 || Number.isInteger(value) ? 0 : size >= 10 ? 1 : 2)
}
