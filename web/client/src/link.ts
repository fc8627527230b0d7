import { io } from 'socket.io-client'
import type { Answer, RealtimeSocket } from './contract.js'
import type { ErrorPayload } from './generated.js'
import type { AuthContext, Settings } from './options.js'
import { maxAdviceMs } from './rest.js'
import { type LocalCode, type Reason, reasonOf } from './status.js'
import type { Tokens } from './token.js'

/** `parked`: no connection is wanted, or the page is not visible. `refused`: the server refused with a code; the link may retry. */
export type Phase = 'parked' | 'connecting' | 'up' | 'waiting' | 'refused'

export interface LinkHooks {
  /** The socket is connected; `recovered`: the session has its earlier subscriptions. */
  up(recovered: boolean): void
  /** The connection was lost. */
  down(): void
  /** An event of the server, except those that the link handles itself. */
  packet(name: string, payload: unknown): void
  /** The phase or the reason has changed. */
  changed(): void
  /** Whether a fallback works meanwhile, so that a socket is not urgent. */
  standsIn(): boolean
  /** The page has woken up, and there is no socket. */
  woken(): void
}

/** Codes of a refusal that another attempt would get again. */
const final = /^ORIGIN_NOT_ALLOWED|^NAMESPACE_/

/** The pause before the link fetches a token again for a connection whose token expires, in milliseconds. */
const refreshPauseMs = 4000

/** How long a connection has to answer after the page woke up, and after what time its status is `reconnecting`, in milliseconds. */
const checkMs = 3000
const doubtMs = 500

/** Several events report one wake: those within so many milliseconds of each other begin only one attempt. */
const wakeMs = 1000

/** How often the clock is read, and how late a reading must be to show that the machine has slept, in milliseconds. */
const clockMs = 5000
const sleptMs = 15_000

/** Whether the page may be visible. */
const visible = () => globalThis.document?.visibilityState !== 'hidden'

/**
 * The one socket of a client. The link decides when to connect, in place of
 * socket.io-client, which does not reconnect after a refusal, ignores the server's
 * `retryAfterMs`, and does not report when its next attempt will be.
 */
export class Link {
  phase: Phase = 'parked'
  reason: Reason | undefined
  /** Whether there has been a connection before. */
  wasUp = false
  /** Whether the connection has not answered since the page woke up. */
  stale = false
  #socket: RealtimeSocket | undefined
  #wanted = false
  #attempts = 0
  #turn = 0 // tells an earlier attempt, which still waits, that it is over
  #timer: ReturnType<typeof setTimeout> | undefined // of the phase: the next attempt, the end of this one, or another attempt to renew a token
  #keepAlive: ReturnType<typeof setInterval> | undefined
  #clock: ReturnType<typeof setInterval> | undefined
  #check: ReturnType<typeof setTimeout> | undefined // of a check in progress
  #unanswered = 0 // pings of this connection
  #waiting = new AbortController() // for a token
  #wokenAt = 0 // when a wake last began an attempt
  #patient = false // the next attempt was delayed because a fallback works
  #last: ErrorPayload | undefined // the last novel.error of this connection: why it will be ended
  #tokenCode: AuthContext['code'] // what happened to the last token; set until the next one has made a connection

  constructor(
    readonly settings: Settings,
    readonly tokens: Tokens,
    readonly hooks: LinkHooks,
  ) {}

  /** The socket, created at the first use, so that a client can be created without a page. */
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

  /** Begins a new attempt, also in place of one that is in progress. Checks an existing connection. */
  retry(): void {
    if (!this.#wanted) return
    if (this.phase === 'up') return this.#prove()
    this.#halt()
    this.#socket?.disconnect()
    this.#attempts = 0
    void this.#attempt()
  }

  /** Begins an attempt that was delayed while a fallback worked, if no fallback works any more. */
  hurry(): void {
    if (!this.#patient || this.hooks.standsIn()) return
    this.#attempts = 0
    this.#later('DISCONNECTED', 'The connection was lost.')
  }

  /** Sends a request, and passes on its answer; undefined if the connection ends before the answer, or no answer arrives. */
  request(name: 'subscribe' | 'unsubscribe' | 'refresh', argument: object, answered?: (answer: Answer | undefined) => unknown): void {
    const emit = this.socket.timeout(15_000).emit as (...args: unknown[]) => void
    emit.call(this.socket, name, argument, (error: unknown, answer: Answer) => answered?.(error ? undefined : answer))
  }

  /** Adds or removes the listeners for network and page, whose events exist only in a browser. */
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

  /** Handles a restored or changed network: refused requests are tried again, too. */
  readonly #online = (): void => this.#wake()

  readonly #shown = ({ persisted }: PageTransitionEvent): void => {
    if (persisted) this.#seen()
  }

  readonly #seen = (): void => {
    if (!visible()) return
    // A refusal has its own time, but a fallback may continue.
    if (this.phase === 'refused') this.#awoke()
    else this.#wake()
  }

  /** Handles a wake: an open connection may be dead, and a failed attempt may succeed now. */
  #wake(): void {
    const again = this.#awoke()
    if (again && this.phase === 'connecting') return
    this.retry()
  }

  /** Has the fallbacks checked. Reports whether this is one more event of the same wake. */
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

  /** Tests whether the connection still works. Pongs arrive in the order of the pings, so the last pong proves it. */
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
      // If the timer itself is late, it does not show that the connection is dead.
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

  /** Replaces a dead connection at once. */
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

  /** Ends every timer, and the wait of an attempt for its token. */
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
    // One deadline for the whole attempt. The manager has a timeout for the transport only; a server may accept, and then send nothing.
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
    this.socket.auth = { ...(token !== undefined && { token }), ...(this.settings.opentelemetry && { traces: true }) }
    this.socket.connect()
    // The socket does not report an end between the opening of the transport and the server's first packet.
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

  /** Handles a failed attempt to connect. */
  #refused(error: Error & { data?: ErrorPayload }): void {
    if (!this.#wanted || this.phase !== 'connecting') return
    const problem = error.data
    if (!problem?.code) return this.#later('CONNECT_FAILED', error.message)
    this.#turnedAway({ ...problem, message: error.message })
  }

  /** Handles the end of a connection. */
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

  /** Handles a refusal of this client, or of its token. */
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

  /** Stops the attempts: only a call of {@link retry} begins another one. */
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

  /** Handles a `novel.error` that concerns the connection. */
  #problem(problem: ErrorPayload): void {
    if (problem?.code === 'TOKEN_EXPIRING') void this.#renew(this.#turn)
    else if (problem?.code === 'IDLE_TIMEOUT' || problem?.code === 'TOKEN_EXPIRED') this.#last = problem
  }

  /** Sends a new token while the connection stays. If that fails until the old token expires, a new connection sends one. */
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
