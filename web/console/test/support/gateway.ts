import { vi } from 'vitest'

/** A gateway whose answers a test gives. It keeps the changes that it is asked for. */
export class Gateway {
  readonly changes: { path: string; body: unknown }[] = []

  /** `answers` has the answers by method and path; further GETs answer with an empty page. */
  constructor(private readonly answers: Record<string, unknown>) {
    vi.stubGlobal('fetch', (address: string, { method = 'GET', body }: { method?: string; body?: string } = {}) => {
      const path = address.replace(/^.*\/api\/v1/, '')
      if (method === 'POST') this.changes.push({ path, body: JSON.parse(body ?? 'null') })
      return Promise.resolve(new Response(JSON.stringify(this.#answer(method, path)), { headers: { 'Content-Type': 'application/json' } }))
    })
  }

  #answer(method: string, path: string): unknown {
    return this.answers[`${method} ${path}`] ?? this.answers[`${method} ${path.split('?')[0]}`] ?? { items: [], gateways: ['one'], missing: [] }
  }
}
