import { createHmac } from 'node:crypto'

const secret = 'a secret of at least 32 bytes, for tests only'

/** Settings of a gateway that takes the tokens made here. */
export const tokenSettings = { AUTH_HMAC_SECRET: secret, AUTH_ISSUER: 'tests', AUTH_AUDIENCE: 'realtime' }

/** A token that ends in so many seconds, for jobs. The gateway takes it 30 s longer, and says so 30 s before that. */
export function token(endsIn: number, jobs: string[] = ['*'], subject = 'reader'): string {
  const now = Math.floor(Date.now() / 1000)
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({
    iss: 'tests', aud: 'realtime', sub: subject, jobs, iat: now - 60, exp: now + endsIn, jti: Math.random().toString(36),
  })}`
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
}
