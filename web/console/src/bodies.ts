/** The bytes of a dead letter as people can read them. */
export interface Shown {
  text: string
  /** JSON that is indented, text as it came, or bytes in hexadecimal. */
  form: 'json' | 'text' | 'bytes'
}

const maxHex = 1024

export function decode(base64: string): Uint8Array {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))
}

export function show(body: Uint8Array): Shown {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(body)
  } catch {
    return { text: hex(body), form: 'bytes' }
  }
  try {
    return { text: JSON.stringify(JSON.parse(text), null, 2), form: 'json' }
  } catch {
    return { text, form: 'text' }
  }
}

function hex(body: Uint8Array): string {
  const lines = []
  for (let at = 0; at < Math.min(body.length, maxHex); at += 16) {
    const row = [...body.subarray(at, at + 16)]
    const codes = row.map((byte) => byte.toString(16).padStart(2, '0')).join(' ')
    const text = row.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : '.')).join('')
    lines.push(`${at.toString(16).padStart(6, '0')}  ${codes.padEnd(47)}  ${text}`)
  }
  if (body.length > maxHex) lines.push(`… and ${body.length - maxHex} bytes more`)
  return lines.join('\n')
}
