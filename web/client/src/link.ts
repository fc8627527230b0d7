import { io } from 'socket.io-client'
import type { Answer, RealtimeSocket } from './contract.js'
import type { ErrorPayload } from './generated.js'
import type { AuthContext, Settings } from './options.js'
import { maxAdviceMs } from './rest.js'
import { type LocalCode, type Reason, reasonOf } from './status.js'
import type { Tokens } from './token.js'

/** `parked`: nobody wants a connection, or nobody is there to see one. `refused`: by a code; it may be tried again. */
export type Phase = 'parked' | 'connecting' | 'up' | 'waiting' | 'refused'

export interface LinkHooks {
  /** The connection is there; `recovered`: with the subscriptions it had. */
  up(recovered: boolean): void
  /** It was there, and is gone. */
  down(): void
  /** An event of the server, but for what the link itself answers. */
  packet(name: string, payload: unknown): void
  /** The phase or the reason has changed. */
  changed(): void
  /** Whether events are fetched in another way meanwhile, so that a socket is in no hurry. */
  standsIn(): boolean
  /** The page has woken up, and there is no socket. */
  woken(): void
}

/** Codes of a refusal after which another attempt would meet the same. */
const final = /^ORIGIN_NOT_ALLOWED|^NAMESPACE_/

/** The pause before a token is fetched again for a connection that is told to renew it, in milliseconds. */
const refreshPauseMs = 4000

/** How long a connection has to answer after the page woke up, and from when on it is not shown as one meanwhile, in milliseconds. */
const checkMs = 3000
const doubtMs = 500

/** Wakes are told by several events at once: what begins an attempt within so many milliseconds is one of them. */
const wakeMs = 1000

/** How often the clock is looked at, and how late that has to be for the machine to have slept, in milliseconds. */
const clockMs = 5000
const sleptMs = 15_000

/** Whether somebody may be looking. */
const visible = () => globalThis.document?.visibilityState !== 'hidden'

/**
 * The one socket of a client. It decides when to connect by itself, in place of
 * socket.io-client: that stays away after a refusal, ignores the server's advice
 * on when to come back, and does not tell when its next attempt will be.
 */
export class Link {
  phase: Phase = 'parked'
  reason: Reason | undefined
  /** Whether there has been a connection before. */
  wasUp = false
  /** The connection that is there has not answered since the page woke up. */
  stale = false
  #socket: RealtimeSocket | undefined
  #wanted = false
  #attempts = 0
  #turn = 0 // outdates what an earlier attempt still waits for
  #timer: ReturnType<typeof setTimeout> | undefined // of the phase: the next attempt, the end of this one, or another try to renew a token
  #keepAlive: ReturnType<typeof setInterval> | undefined
  #clock: ReturnType<typeof setInterval> | undefined
  #check: ReturnType<typeof setTimeout> | undefined // of a check that is under way
  #unanswered = 0 // pings of this connection
  #waiting = new AbortController() // for a token
  #wokenAt = 0 // when a wake last began an attempt
  #patient = false // the next attempt has been put off because something stands in
  #last: ErrorPayload | undefined // the last novel.error of this connection: why it will be ended
  #tokenCode: AuthContext['code'] // what became of the last token; set until a connection comes of the next

  constructor(
    readonly settings: Settings,
    readonly tokens: Tokens,
    readonly hooks: LinkHooks,
  ) {}

  /** Made at the first use, so that a client can be made where there is no page. */
  get socket(): RealtimeSocket {
    return (this.#socket ??= this.#make())
  }

  /** Connects, and stays connected until {@link shut}. */
  open(): void {
    if (this.#wanted) return
    this.#wanted = true
    this.#listen('addEventListener')
    this.#attempts = 0
    void this.#attempt()
  }

  shut(): void {
    if (!this.#wanted) return
    this.#wanted = false
    this.#listen('removeEventListener')
    this.#halt()
    this.#socket?.disconnect()
    this.#set('parked', undefined)
  }

  /** Begins a fresh attempt, also in the place of one that is under way. Checks a connection that is there. */
  retry(): void {
    if (!this.#wanted) return
    if (this.phase === 'up') return this.#prove()
    this.#halt()
    this.#socket?.disconnect()
    this.#attempts = 0
    void this.#attempt()
  }

  /** Ends the patience of an attempt that was put off while something stood in, when nothing does any more. */
  hurry(): void {
    if (!this.#patient || this.hooks.standsIn()) return
    this.#attempts = 0
    this.#later('DISCONNECTED', 'The connection was lost.')
  }

  /** Sends a request, and gives its answer; undefined when the connection ends before, or none comes. */
  request(name: 'subscribe' | 'unsubscribe' | 'refresh', argument: object, answered?: (answer: Answer | undefined) => unknown): void {
    const emit = this.socket.timeout(15_000).emit as (...args: unknown[]) => void
    emit.call(this.socket, name, argument, (error: unknown, answer: Answer) => answered?.(error ? undefined : answer))
  }

  /** Outside of a browser there is neither a network nor a page that says anything. */
  #listen(how: 'addEventListener' | 'removeEventListener'): void {
    const { document, navigator } = globalThis
    globalThis[how]?.('online', this.#online)
    globalThis[how]?.('offline', this.hooks.changed)
    globalThis[how]?.('pageshow', this.#shown as EventListener)
    document?.[how]?.('visibilitychange', this.#seen)
    document?.[how]?.('resume', this.#seen)
    const { connection } = (navigator ?? {}) as { connection?: EventTarget }
    connection?.[how]?.('change', this.#online)
  }

  /** There is a network again, or another one: what was refused on the old one is tried, too. */
  readonly #online = (): void => this.#wake()

  readonly #shown = ({ persisted }: PageTransitionEvent): void => {
    if (persisted) this.#seen()
  }

  readonly #seen = (): void => {
    if (!visible()) return
    // A refusal has its own time, but what stands in may go on.
    if (this.phase === 'refused') this.#awoke()
    else this.#wake()
  }

  /** What was open may be dead, and what did not work may work now. */
  #wake(): void {
    const again = this.#awoke()
    if (again && this.phase === 'connecting') return
    this.retry()
  }

  /** Has what stands in for the socket checked. Reports whether this is one more event of the same wake. */
  #awoke(): boolean {
    if (this.phase === 'up') return false
    if (Date.now() - this.#wokenAt < wakeMs) return true
    this.#wokenAt = Date.now()
    this.hooks.woken()
    return false
  }

  #ping(): void {
    this.#unanswered++
    this.socket.emit('ping')
  }

  /** Finds out whether the connection still carries anything. Pongs come in the order of the pings: the last one proves it. */
  #prove(): void {
    if (this.#check) return
    this.#ping()
    const asked = Date.now()
    const doubt = () => {
      this.stale = true
      this.#check = setTimeout(giveUp, checkMs - doubtMs)
      this.hooks.changed()
    }
    const giveUp = () => {
      // A timer that is late itself says nothing about the connection.
      if (Date.now() - asked < 2 * checkMs) return this.#replace()
      this.#check = undefined
      this.#prove()
    }
    this.#check = setTimeout(doubt, doubtMs)
  }

  #pong(): void {
    this.#unanswered = Math.max(0, this.#unanswered - 1)
    if (this.#unanswered > 0 || !this.#check) return
    clearTimeout(this.#check)
    this.#check = undefined
    if (!this.stale) return
    this.stale = false
    this.hooks.changed()
  }

  /** The connection is dead: another one is made at once. */
  #replace(): void {
    this.#halt()
    this.phase = 'waiting'
    this.reason = reasonOf({ code: 'DISCONNECTED', message: 'The connection was lost.' })
    this.hooks.down()
    this.socket.disconnect()
    this.#attempts = 0
    void this.#attempt()
  }

  #make(): RealtimeSocket {
    const { origin, path, transports, socketOptions } = this.settings
    const options = { path, transports, forceNew: true, ...socketOptions, autoConnect: false, reconnection: false }
    const socket: RealtimeSocket = origin ? io(origin, options) : io(options)
    socket.on('connect', () => this.#connected())
    socket.on('connect_error', (error) => this.#refused(error as Error & { data?: ErrorPayload }))
    socket.on('disconnect', () => this.#lost())
    socket.onAny((name: string, payload: unknown) => {
      if (name === 'novel.error') this.#problem(payload as ErrorPayload)
      if (name === 'pong') this.#pong()
      this.hooks.packet(name, payload)
    })
    return socket
  }

  #set(phase: Phase, reason: Reason | undefined): void {
    this.phase = phase
    this.reason = reason
    this.hooks.changed()
  }

  /** Ends every timer, and what an attempt waits for. */
  #halt(): void {
    this.#turn++
    clearTimeout(this.#timer)
    clearInterval(this.#keepAlive)
    clearInterval(this.#clock)
    clearTimeout(this.#check)
    this.#check = undefined
    this.stale = this.#patient = false
    this.#waiting.abort()
  }

  async #attempt(): Promise<void> {
    this.#halt()
    const turn = this.#turn
    const failed = (code: LocalCode, message: string) => {
      this.#halt()
      this.socket.disconnect()
      this.#later(code, message)
    }
    const noToken = (error: unknown) => {
      this.settings.diagnose({ code: 'auth-failed', error })
      failed('AUTH_FAILED', 'No token could be had.')
    }
    const { signal } = (this.#waiting = new AbortController())
    let hasToken = false
    // One deadline for all of it. The manager has a timeout for the transport only; a server may accept, and then say nothing.
    this.#timer = setTimeout(() => {
      if (hasToken) failed('CONNECT_TIMEOUT', 'The server does not answer.')
      else noToken(new Error(`auth() has not answered within ${this.settings.connectTimeoutMs} ms`))
    }, this.settings.connectTimeoutMs)
    this.#set('connecting', this.reason)
    let token: string | undefined
    try {
      token = await this.tokens.renew(this.#tokenCode ? { code: this.#tokenCode } : {}, signal)
    } catch (error) {
      if (turn === this.#turn) noToken(error)
      return
    }
    if (turn !== this.#turn) return
    hasToken = true
    this.#last = undefined
    this.socket.auth = token === undefined ? {} : { token }
    this.socket.connect()
    // It overlooks an end between the opening of the transport and the server's first word.
    const { io } = this.socket
    io.engine.once('close', (why) => io._readyState === 'opening' && turn === this.#turn && failed('CONNECT_FAILED', why))
  }

  #connected(): void {
    this.#halt()
    this.#attempts = 0
    this.#tokenCode = undefined
    this.wasUp = true
    this.#unanswered = 0
    if (this.settings.keepAliveMs > 0) this.#keepAlive = setInterval(() => this.#ping(), this.settings.keepAliveMs)
    let looked = Date.now()
    this.#clock = setInterval(() => {
      if (Date.now() - looked > sleptMs) this.#seen()
      looked = Date.now()
    }, clockMs)
    this.phase = 'up'
    this.reason = undefined
    this.hooks.up(this.socket.recovered)
    this.hooks.changed()
  }

  /** A connection did not come about. */
  #refused(error: Error & { data?: ErrorPayload }): void {
    if (!this.#wanted || this.phase !== 'connecting') return
    const problem = error.data
    if (!problem?.code) return this.#later('CONNECT_FAILED', error.message)
    this.#turnedAway({ ...problem, message: error.message })
  }

  /** A connection is gone. */
  #lost(): void {
    const was = this.phase
    if (was !== 'up' && was !== 'connecting') return // ended here
    this.#halt()
    this.phase = 'waiting'
    if (was === 'up') this.hooks.down()
    if (!this.#wanted) return
    const last = this.#last
    if (last?.code === 'IDLE_TIMEOUT') {
      if (!visible()) return this.#set('parked', reasonOf(last))
      return this.#later(last.code, last.message)
    }
    if (last?.code === 'TOKEN_EXPIRED') return this.#turnedAway(last)
    this.#later('DISCONNECTED', 'The connection was lost.')
  }

  /** The server does not want this client, or not with this token. */
  #turnedAway(problem: ErrorPayload): void {
    const { code, message } = problem
    const retryAfterMs = problem.retryAfterMs && Math.min(problem.retryAfterMs, maxAdviceMs)
    if (code.startsWith('TOKEN_')) {
      if (this.tokens.renewable && !this.#tokenCode) {
        this.#tokenCode = code as NonNullable<AuthContext['code']>
        this.reason = reasonOf(problem)
        return void this.#attempt()
      }
      return this.#stay(problem)
    }
    if (final.test(code)) return this.#stay(problem)
    if (code === 'INTERNAL') return this.#later(code, message)
    this.#schedule('refused', problem, retryAfterMs)
  }

  /** Nothing but the user's word helps. */
  #stay(problem: ErrorPayload): void {
    this.#halt()
    this.#tokenCode = undefined
    this.#set('refused', reasonOf(problem))
  }

  #later(code: LocalCode | ErrorPayload['code'], message: string): void {
    this.#schedule('waiting', { code, message })
  }

  #schedule(phase: Phase, why: Reason | ErrorPayload, advised?: number): void {
    this.#halt()
    const patient = advised === undefined && this.hooks.standsIn()
    const delay = Math.round(advised ?? this.settings.backoff(this.#attempts++, patient ? this.settings.fallback?.maxSocketPauseMs : undefined))
    this.#patient = patient
    this.#timer = setTimeout(() => void this.#attempt(), delay)
    this.#set(phase, reasonOf(why, delay))
  }

  /** What a `novel.error` means for the connection. */
  #problem(problem: ErrorPayload): void {
    if (problem?.code === 'TOKEN_EXPIRING') void this.#renew(this.#turn)
    else if (problem?.code === 'IDLE_TIMEOUT' || problem?.code === 'TOKEN_EXPIRED') this.#last = problem
  }

  /** Brings a new token while the connection stays. What fails until the old one ends, a new connection does. */
  async #renew(turn: number): Promise<void> {
    const failed = (error: unknown) => {
      if (turn !== this.#turn) return
      this.settings.diagnose({ code: 'auth-failed', error })
      this.#timer = setTimeout(() => void this.#renew(turn), refreshPauseMs)
    }
    const waiting = (this.#waiting = new AbortController())
    const { connectTimeoutMs } = this.settings
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => waiting.abort(new Error(`auth() has not answered within ${connectTimeoutMs} ms`)), connectTimeoutMs)
    try {
      const token = await this.tokens.renew({ code: 'TOKEN_EXPIRING' }, waiting.signal)
      if (turn === this.#turn) clearTimeout(this.#timer)
      if (turn === this.#turn && token) this.request('refresh', { token }, (answer) => answer?.ok === false && failed(answer))
    } catch (error) {
      failed(error)
    }
  }
}
