import { randomInt } from 'node:crypto'
import { EventEmitter, once } from 'node:events'
import {
  createServer as createHttpServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http'
import { connect, createServer as createNetServer, type Server, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { createServer as createTlsServer } from 'node:tls'
import { gzipSync } from 'node:zlib'

/** A server on this machine. */
interface Listening {
  readonly port: number
  /** How many connections have been made to it. */
  contacted(): number
  /** Ends all connections. */
  close(): Promise<void>
}

const HOST = '127.0.0.1'

/** Has a server listen, and knows its connections, so that it can be closed whatever they do. */
async function listen(server: Server): Promise<Listening> {
  const sockets = new Set<Socket>()
  let contacted = 0
  server.on('connection', (socket: Socket) => {
    contacted += 1
    sockets.add(socket)
    // Whoever is at the other end may be gone at any time.
    socket.on('error', () => {}).once('close', () => sockets.delete(socket))
  })
  await once(server.listen(0, HOST), 'listening')
  const { port } = server.address() as { port: number }
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      for (const socket of sockets) socket.destroy()
    })
  return { port, contacted: () => contacted, close }
}

/** A request that has arrived whole. */
export interface Received {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
  /** As it came. */
  readonly body: string
  /** When it came, by `performance.now()`. */
  readonly at: number
}

/** What a receiver does about a request; `hang` never answers, `reset` breaks the connection. */
export type Answer =
  | {
      /** 200 unless given. */
      readonly status?: number
      readonly headers?: Readonly<Record<string, string>>
      readonly body?: string
    }
  | 'hang'
  | 'reset'

/** Decides about a request. */
export type Answering = (request: Received) => Answer | Promise<Answer>

/** How far `behave` goes. */
export interface Scope {
  /** Whether requests that verify the destination are answered like all others, and not with their challenge. */
  readonly verification?: boolean
}

/** The body of an event as it is delivered. */
export interface ReceivedEvent {
  readonly id: string
  readonly type: string
  readonly data: { readonly id: string; readonly [field: string]: unknown }
  readonly [field: string]: unknown
}

/** A receiver of webhooks that remembers what came. */
export interface Receiver {
  readonly url: string
  /** All that came, in the order in which it came. */
  readonly requests: readonly Received[]
  /** The events that were answered with a 2xx, in the order in which they came. */
  readonly events: readonly ReceivedEvent[]
  /** How many requests are unanswered. */
  readonly inFlight: number
  /** How many requests were unanswered at once, at most. */
  readonly mostInFlight: number
  /** How many events of the same resource were unanswered at once, at most. */
  readonly mostInFlightPerResource: number
  /** Answers like this from now on. */
  behave(answer: Answering, scope?: Scope): void
  /** Waits until so many events are in `events`, and fails when that takes too long. */
  arrived(count: number, withinMs?: number): Promise<void>
  /** Ends all connections. */
  close(): Promise<void>
}

/** How a receiver behaves at first: unless told otherwise, it proves every challenge and answers 200 to the rest. */
export interface ReceiverOptions extends Scope {
  readonly answer?: Answering
}

/** Starts a receiver of webhooks. */
export async function createReceiver(options: ReceiverOptions = {}): Promise<Receiver> {
  let behaviour = { answer: () => ({}), verification: false, ...options }
  const requests: Received[] = []
  const flights = createFlights()
  const accepted = createAccepted()

  async function take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    flights.begin(response)
    const received = await read(request)
    if (received === undefined) return
    const place = requests.push(received)
    const proof = proofFor(received)
    const event = proof ? undefined : eventIn(received.body)
    if (event) flights.carry(response, event)
    const answer = await answerOf(behaviour, received, proof)
    if (response.destroyed || answer === 'hang') return
    flights.end(response)
    give(response, answer)
    if (event && isAcceptance(answer)) accepted.add(event, place)
  }

  const server = createHttpServer(
    // A connection that ends while it is idle may take the next request with it.
    { keepAliveTimeout: 0 },
    (request, response) => void take(request, response),
  )
  const { port, close } = await listen(server)
  return {
    url: `http://${HOST}:${port}/`,
    requests,
    events: accepted.events,
    get inFlight() {
      return flights.now()
    },
    get mostInFlight() {
      return flights.most()
    },
    get mostInFlightPerResource() {
      return flights.mostPerResource()
    },
    behave: (answer, scope = {}) => {
      behaviour = { answer, verification: false, ...scope }
    },
    arrived: accepted.arrived,
    close: () => {
      accepted.close()
      return close()
    },
  }
}

/** Reads a request; undefined where its sender gives up in the middle of it. */
async function read(request: IncomingMessage): Promise<Received | undefined> {
  const { method = '', url: path = '', headers } = request
  try {
    const body = await text(request)
    return { method, path, headers, body, at: performance.now() }
  } catch {
    return undefined
  }
}

/** Counts the requests that are unanswered, and those of the same resource. */
function createFlights() {
  const resources = new Map<ServerResponse, string | undefined>()
  let most = 0
  let mostPerResource = 0
  return {
    begin: (response: ServerResponse) => {
      resources.set(response, undefined)
      most = Math.max(most, resources.size)
      response.once('close', () => resources.delete(response))
    },
    /** Says what a request turned out to be about. */
    carry: (response: ServerResponse, { data }: ReceivedEvent) => {
      if (!resources.has(response) || data?.id === undefined) return
      resources.set(response, data.id)
      const same = [...resources.values()].filter((id) => id === data.id)
      mostPerResource = Math.max(mostPerResource, same.length)
    },
    end: (response: ServerResponse) => resources.delete(response),
    now: () => resources.size,
    most: () => most,
    mostPerResource: () => mostPerResource,
  }
}

/** Keeps the events that were accepted, by the place in which they came, and tells of them. */
function createAccepted() {
  const events: ReceivedEvent[] = []
  const places: number[] = []
  const news = new EventEmitter().setMaxListeners(0)
  const closing = new AbortController()
  return {
    events,
    add: (event: ReceivedEvent, place: number) => {
      const index = places.findLastIndex((other) => other < place) + 1
      places.splice(index, 0, place)
      events.splice(index, 0, event)
      news.emit('event')
    },
    arrived: async (count: number, withinMs = 20_000) => {
      const signal = AbortSignal.any([closing.signal, AbortSignal.timeout(withinMs)])
      try {
        while (events.length < count) await once(news, 'event', { signal })
      } catch (cause) {
        throw new Error(`only ${events.length} of ${count} events have arrived`, { cause })
      }
    },
    close: () => closing.abort(new Error('the receiver was closed')),
  }
}

/** The object that a body is, and an empty one where it is none. */
function parse(body: string): Readonly<Record<string, unknown>> {
  try {
    return Object(JSON.parse(body))
  } catch {
    return {}
  }
}

/** The event in a body, where there is one. */
function eventIn(body: string): ReceivedEvent | undefined {
  const parsed = parse(body)
  return typeof parsed.id === 'string' ? (parsed as ReceivedEvent) : undefined
}

/** How to say that events are wanted; undefined for what does not ask. */
function proofFor({ method, headers, body }: Received): Exclude<Answer, string> | undefined {
  const { 'webhook-request-origin': origin } = headers
  if (method === 'OPTIONS' && typeof origin === 'string')
    return { headers: { 'webhook-allowed-origin': origin } }
  const { type, challenge } = parse(body)
  if (type === 'event_destination.ping') return {}
  if (type !== 'event_destination.verification') return undefined
  const json = { 'content-type': 'application/json' }
  return { headers: json, body: JSON.stringify({ challenge }) }
}

/** The proof that a request asks for, or what a test wants; its own mistakes come back as 500. */
async function answerOf(
  { answer, verification }: Required<ReceiverOptions>,
  received: Received,
  proof: Answer | undefined,
): Promise<Answer> {
  if (proof && !verification) return proof
  try {
    return await answer(received)
  } catch (error) {
    return { status: 500, body: String(error) }
  }
}

function isAcceptance(answer: Answer): boolean {
  const { status = 200 } = typeof answer === 'string' ? { status: 0 } : answer
  return status >= 200 && status < 300
}

function give(response: ServerResponse, answer: Exclude<Answer, 'hang'>): void {
  if (answer === 'reset') return void response.socket?.resetAndDestroy()
  const { status = 200, headers = {}, body = '' } = answer
  response.writeHead(status, headers).end(body)
}

/** A receiver that misbehaves. */
export interface Hostile {
  readonly url: string
  /**
   * Whether it accepts what it is sent, by the status line of a whole head; `either` where it depends on how much a
   * client forgives.
   */
  readonly ok: boolean | 'either'
  /** How many connections have been made to it. */
  contacted(): number
  /** Where it leads to, if it does. */
  readonly target?: { contacted(): number }
  /** Ends all connections. */
  close(): Promise<void>
}

type Ok = Hostile['ok']

const OK_LINE = 'HTTP/1.1 200 OK\r\n'
const DRIP_MS = 20
const TEN_MB = 10 * 2 ** 20
// Shared, so that it is the senders' memory that a test measures.
const CHUNK = Buffer.alloc(65_536, 'x')

async function hostile(server: Server, ok: Ok, protocol = 'http'): Promise<Hostile> {
  const { port, contacted, close } = await listen(server)
  return { url: `${protocol}://${HOST}:${port}/`, ok, contacted, close }
}

/** A receiver that takes requests, and answers as HTTP permits. */
const answering = (ok: Ok, listener: RequestListener) => () =>
  hostile(createHttpServer(listener), ok)

/** A receiver that writes what it wants to once something has come. */
const writing = (ok: Ok, write: (socket: Socket) => void) => () =>
  hostile(
    createNetServer((socket) => socket.once('data', () => write(socket))),
    ok,
  )

/** A server that only listens. */
const silent = () => createNetServer((socket) => socket.resume())

const withStatus = (status: number, headers: Record<string, string> = {}) =>
  answering(status < 300, (_, response) => response.writeHead(status, headers).end())

/** Writes something again and again. */
function repeat(socket: Socket, something: string): void {
  const timer = setInterval(() => socket.write(something), DRIP_MS)
  socket.once('close', () => clearInterval(timer))
}

/** Breaks a connection when what was written to it has had the time to be read. */
function resetSoon(socket: Socket): void {
  setTimeout(() => socket.resetAndDestroy(), 2 * DRIP_MS)
}

/** Writes without an end, as fast as it is read. */
function flood(response: ServerResponse): void {
  const more = () => {
    while (response.write(CHUNK));
  }
  response.on('drain', more)
  more()
}

async function redirecting(status: number): Promise<Hostile & Required<Pick<Hostile, 'target'>>> {
  const target = await withStatus(200)()
  const source = await withStatus(status, { location: target.url })()
  const close = async () => void (await Promise.all([source.close(), target.close()]))
  return { ...source, target, close }
}

/**
 * A port that refuses connections: a connection begins there, so that nobody else can listen there by accident. It is
 * none of those that the system chooses from: a connection to such a one may be made from it, and reach itself.
 */
async function refusing(): Promise<Hostile> {
  const { port, close } = await listen(createNetServer())
  const localPort = randomInt(20_000, 30_000)
  const holder = connect({ port, host: HOST, localPort }).on('error', () => {})
  await once(holder, 'connect')
  const url = `http://${HOST}:${holder.localPort}/`
  return {
    url,
    ok: false,
    contacted: () => 0,
    close: () => close().finally(() => holder.destroy()),
  }
}

/** Receivers that do what they should not, each ready to be started. */
export const hostileReceivers = {
  refuses: refusing,
  'hangs before the status line': answering(false, () => {}),
  'accepts and says nothing': () => hostile(silent(), false),
  'drips the headers': writing(false, (socket) => {
    socket.write(`${OK_LINE}x-drip: `)
    repeat(socket, 'x')
  }),
  'drips the body': writing(true, (socket) => {
    socket.write(`${OK_LINE}content-length: ${TEN_MB}\r\n\r\n`)
    repeat(socket, 'x')
  }),
  'sends 10 MB': writing(true, (socket) => {
    socket.write(`${OK_LINE}content-length: ${TEN_MB}\r\n\r\n`)
    for (let sent = 0; sent < TEN_MB; sent += CHUNK.length) socket.write(CHUNK)
  }),
  'sends an endless body': answering(true, (_, response) => flood(response)),
  'compresses a bomb': () => {
    const bomb = gzipSync(Buffer.alloc(TEN_MB))
    return answering(true, (_, response) =>
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb),
    )()
  },
  redirects: () => redirecting(302),
  'redirects permanently': () => redirecting(308),
  'answers 404': withStatus(404),
  'answers 410': withStatus(410),
  'answers 500': withStatus(500),
  'answers 429 with retry-after': withStatus(429, { 'retry-after': '120' }),
  'resets at once': () =>
    hostile(
      createNetServer((socket) => socket.resetAndDestroy()),
      false,
    ),
  'resets in the headers': writing(false, (socket) => {
    socket.write(`${OK_LINE}content-type: te`)
    resetSoon(socket)
  }),
  'resets in the body': writing(true, (socket) => {
    socket.write(`${OK_LINE}content-length: 100\r\n\r\nhello`)
    resetSoon(socket)
  }),
  'sends garbage instead of HTTP': writing(false, (socket) =>
    socket.end(Buffer.from('\0\x01\x02\xff SSH-2.0-nobody\r\n\r\n', 'latin1')),
  ),
  'sends garbage headers': writing('either', (socket) =>
    socket.end(`${OK_LINE}no colon\r\nx-\x01\x02: \x03\0\r\ncontent-length: 0\r\n\r\n`),
  ),
  'sends 1 MB of headers': writing('either', (socket) => {
    socket.write(OK_LINE)
    for (let n = 0; n < 1024; n++) socket.write(`x-${n}: ${'x'.repeat(1024)}\r\n`)
    socket.end('content-length: 0\r\n\r\n')
  }),
  'sends two status lines': writing('either', (socket) =>
    socket.end(`${OK_LINE}HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n`),
  ),
  'speaks TLS badly': () =>
    hostile(
      createNetServer((socket) =>
        socket.once('data', () => socket.end(`${OK_LINE}content-length: 0\r\n\r\n`)),
      ),
      false,
      'https',
    ),
  'never finishes the TLS handshake': () => hostile(silent(), false, 'https'),
  'has a certificate nobody trusts': () => {
    const greet = (socket: Socket) =>
      socket.on('error', () => {}).end(`${OK_LINE}content-length: 0\r\n\r\n`)
    return hostile(createTlsServer({ key: SELF_SIGNED, cert: SELF_SIGNED }, greet), false, 'https')
  },
  'closes without an answer': writing(false, (socket) => socket.end()),
  'sends informational answers for ever': writing(false, (socket) =>
    repeat(socket, 'HTTP/1.1 100 Continue\r\n\r\n'),
  ),
  'sends early hints for ever': writing(false, (socket) =>
    repeat(socket, 'HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n'),
  ),
  'switches to another protocol': writing(false, (socket) =>
    socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'),
  ),
  'answers HTTP/1.0': writing(true, (socket) => socket.end('HTTP/1.0 200 OK\r\n\r\nhello')),
  'sends an invalid content-length': writing('either', (socket) =>
    socket.end(`${OK_LINE}content-length: twelve\r\n\r\nhello world!`),
  ),
} satisfies Record<string, () => Promise<Hostile>>

// A key and a certificate that it signed itself, made for these tests and good for nothing else.
const SELF_SIGNED = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg4iF0NgPnq1tRWpoN
AKUkf1T7NlAta8Zx7tfgkSh7SJmhRANCAARJ9uR8zfMebrG+6VfSUFlo1IziXPUU
BB+84KpiqigmICTVGCvc6xdomRHrERBynmvlFjgnMaDrSqzmn7IOHUI8
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBXjCCAQSgAwIBAgIUfj7GcOUgWs/TOH6h6QrHMJL5GyIwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJMTI3LjAuMC4xMCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAx
MDAwMDAwWjAUMRIwEAYDVQQDDAkxMjcuMC4wLjEwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAARJ9uR8zfMebrG+6VfSUFlo1IziXPUUBB+84KpiqigmICTVGCvc6xdo
mRHrERBynmvlFjgnMaDrSqzmn7IOHUI8ozIwMDAPBgNVHREECDAGhwR/AAABMB0G
A1UdDgQWBBT/rw6wtvc+fgI0VgB7yAYPU2l1PTAKBggqhkjOPQQDAgNIADBFAiEA
x1/vifk6R+I2T05pC+yIav9DMbKXsNKBJLzJgXg1BxsCICnPmBr4fLxyWSY8lZ1N
x6Z5Nx1rNMAHt+dbPb9c+J5q
-----END CERTIFICATE-----
`

/** What a proxy does; see `Proxy.mode`. */
export type ProxyMode = 'pass' | 'blackhole' | 'refuse' | 'cut'

/** A proxy that can be a bad network. */
export interface Proxy {
  readonly port: number
  /**
   * Changes what becomes of connections, those that exist included: `pass` passes everything on, `blackhole` loses
   * everything and tells nobody, `refuse` ends them and listens no more, and `cut` ends each after it has carried
   * so many more bytes in both directions together. A connection that has lost something never passes again.
   */
  mode(mode: ProxyMode, bytes?: number): Promise<void>
  /** Ends all connections. */
  close(): Promise<void>
}

/** Starts a proxy that passes on to a port. */
export async function createProxy(target: { host: string; port: number }): Promise<Proxy> {
  let mode: ProxyMode = 'pass'
  let bytes = 0
  const links = new Set<Link>()
  const server = createNetServer({ allowHalfOpen: true }, (client) => {
    const link = createLink(client, connect({ ...target, allowHalfOpen: true }))
    links.add(link)
    client.once('close', () => links.delete(link))
    link.become(mode, bytes)
  })
  const { port, close } = await listen(server)
  return {
    port,
    mode: async (next, most = 0) => {
      mode = next
      bytes = most
      for (const link of links) link.become(mode, bytes)
      if (mode === 'refuse') server.close()
      else if (!server.listening) await once(server.listen(port, HOST), 'listening')
    },
    close,
  }
}

/** A connection through a proxy. */
interface Link {
  become(mode: ProxyMode, bytes: number): void
}

function createLink(client: Socket, upstream: Socket): Link {
  let isLosing = false
  let isLost = false
  // How much it may carry yet.
  let left = Number.POSITIVE_INFINITY

  const end = () => {
    client.destroy()
    upstream.destroy()
  }

  /** Whether what comes now is lost, and with it all that comes later. */
  function isGone(): boolean {
    isLost ||= isLosing
    return isLost
  }

  function carry(chunk: Buffer, from: Socket, to: Socket): void {
    if (isGone()) return
    const carried = chunk.subarray(0, left)
    left -= carried.length
    const isRoom = to.write(carried, left === 0 ? end : undefined)
    if (!isRoom) to.once('drain', () => from.resume())
    if (!isRoom) from.pause()
  }

  for (const [from, to] of [
    [client, upstream],
    [upstream, client],
  ] as const) {
    from.on('data', (chunk) => carry(chunk, from, to))
    from.once('end', () => isGone() || to.end())
    from.on('error', () => isGone() || end())
  }
  client.once('close', () => upstream.destroy())
  return {
    become: (mode, bytes) => {
      isLosing = mode === 'blackhole'
      left = mode === 'cut' ? bytes : Number.POSITIVE_INFINITY
      if (mode === 'refuse' || left === 0) end()
    },
  }
}
