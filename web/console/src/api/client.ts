import { refused, token } from '../session.js'
import type { paths } from './schema.gen.js'

/** The routes, whose types are generated from the OpenAPI document. */
type GetPath = { [P in keyof paths]: paths[P] extends { get: object } ? P : never }[keyof paths]
type PostPath = { [P in keyof paths]: paths[P] extends { post: object } ? P : never }[keyof paths]
type Content<R> = R extends { content: { 'application/json': infer T } } ? T : never
type Success<O> = O extends { responses: infer R } ? { [S in keyof R]: S extends 200 | 201 | 202 ? Content<R[S]> : never }[keyof R] : never

export type Query<P extends GetPath> = paths[P] extends { get: { parameters: { query?: infer Q } } } ? Q : never
export type Answer<P extends GetPath> = paths[P] extends { get: infer O } ? Success<O> : never
export type Result<P extends PostPath> = paths[P] extends { post: infer O } ? Success<O> : never
export type Body<P extends PostPath> = paths[P] extends { post: { requestBody: infer B } } ? Content<B> : never

/** An answer that is no success, or none at all: then `code` is `unreachable`. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly outcome?: unknown,
  ) {
    super(message)
  }
}

/** How long an answer may take. The API ends a request after 15 s. */
const patience = 20_000

const base = '../api/v1'

async function ask<T>(method: string, path: string, body: unknown, signal?: AbortSignal): Promise<T> {
  const sent = token()
  const headers: Record<string, string> = { Accept: 'application/json' }
  if (sent) headers['Authorization'] = `Bearer ${sent}`
  if (body !== undefined) headers['Content-Type'] = 'application/json'
  let response: Response
  let text: string
  try {
    const limit = AbortSignal.timeout(patience)
    response = await fetch(base + path, {
      method,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      credentials: 'omit',
      cache: 'no-store',
      redirect: 'error',
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
    })
    text = await response.text()
  } catch (error) {
    if (signal?.aborted) throw error
    throw new ApiError(0, 'unreachable', 'The gateway does not answer.')
  }
  let answer: unknown
  try {
    answer = JSON.parse(text)
  } catch {
    throw new ApiError(response.status, 'no-json', `The answer is no JSON (HTTP ${response.status}). Another program, such as a proxy, may have given it.`)
  }
  if (response.ok) return answer as T
  if (response.status === 401) refused(sent)
  const { code = 'unknown', message = `HTTP ${response.status}`, outcome } = answer as { code?: string; message?: string; outcome?: unknown }
  throw new ApiError(response.status, code, message, outcome)
}

export function get<P extends GetPath>(path: P, query?: Query<P>, signal?: AbortSignal): Promise<Answer<P>> {
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== '') parameters.set(name, String(value))
  }
  const text = parameters.toString()
  return ask('GET', `${path}${text && `?${text}`}`, undefined, signal)
}

export function post<P extends PostPath>(path: P, body: Body<P>): Promise<Result<P>> {
  return ask('POST', path, body)
}

/** What the health page of the gateway says. */
export interface Health {
  state: string
  uptimeSeconds: number
  parts: Record<string, string>
}

/** Asks for the health, which is an answer with HTTP 503 too. */
export async function health(signal?: AbortSignal): Promise<Health> {
  const sent = token()
  try {
    const response = await fetch('../../health/ready', {
      headers: sent ? { Authorization: `Bearer ${sent}` } : {},
      credentials: 'omit',
      cache: 'no-store',
      signal: signal ? AbortSignal.any([signal, AbortSignal.timeout(patience)]) : AbortSignal.timeout(patience),
    })
    return (await response.json()) as Health
  } catch (error) {
    if (signal?.aborted) throw error
    throw new ApiError(0, 'unreachable', 'The gateway does not answer.')
  }
}

/** What an operator can do about an error. */
export function advice(error: ApiError): string {
  switch (error.code) {
    case 'unreachable':
      return 'Check that the gateway runs and that this machine reaches it. The console asks again by itself.'
    case 'no-json':
      return 'Open the console on the operators’ listener itself, ADMIN_ADDR.'
    case 'unauthorized':
      return 'Enter INTERNAL_TOKEN to read and change, or ADMIN_READ_TOKEN to read.'
    case 'role':
      return 'Changes need the token of the role operate, INTERNAL_TOKEN.'
    case 'read-only':
      return 'ADMIN_READ_ONLY is set on this gateway. Unset it, or use another gateway.'
    case 'busy':
      return 'The gateway answers as many requests of operators as it takes at once. The console asks again by itself.'
    case 'rate':
      return 'Wait a second, then repeat the change.'
    case 'timeout':
      return 'The log took too long. See the view Log, and “realtime doctor”.'
    case 'unavailable':
      return 'The log or a backend is away. See the health on the overview, and “realtime doctor”.'
    case 'no-tokens':
      return 'Set AUTH_JWKS_URL or AUTH_HMAC_SECRET: without them clients bring no tokens that could be revoked.'
    default:
      return ''
  }
}
