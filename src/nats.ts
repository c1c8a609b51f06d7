/** How does an event reach a stream of NATS? `pawl/nats`, a type of destinations; needs two packages of @nats-io. @module */

import { AsyncLocalStorage } from 'node:async_hooks'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { isIP, type Socket } from 'node:net'
import type { JetStreamClient } from '@nats-io/jetstream'
import type { MsgHdrs, NatsConnection, NodeConnectionOptions } from '@nats-io/transport-node'
import { z } from 'zod'
import {
  createConnections,
  Failure,
  type FailureKind,
  host,
  type Life,
  loadOptional,
} from './delivery/connections.ts'
import {
  type Call,
  type DestinationType,
  defineDestinationType,
  type Message,
  type Receipt,
  type Target,
} from './delivery/destination-type.ts'
import { messageOf } from './errors.ts'
import { strictObject } from './strict-object.ts'

/** What holds for all destinations of the type. */
export interface NatsOptions {
  /** Certificates of authorities that may vouch for a server, PEM. @defaultValue those that Node trusts */
  readonly ca?: string
}

const TYPE = '{type}'

const config = strictObject({
  host,
  port: z.int().min(1).max(65_535).exactOptional().describe('4222 by default.'),
  tls: z.boolean().exactOptional().describe('Whether to encrypt; false by default.'),
  subject: z
    .string()
    .max(500)
    .refine(isSubject, 'must be a subject without wildcards and spaces')
    .describe('Where to publish; "{type}" in it stands for the type of the event.'),
  username: z.string().min(1).exactOptional(),
  password: z.string().exactOptional(),
  token: z.string().min(1).exactOptional(),
}).refine(
  ({ username, token }) => username === undefined || token === undefined,
  'takes a user name or a token, not both',
)

type Config = z.output<typeof config>

interface Session {
  readonly connection: NatsConnection
  readonly stream: JetStreamClient
  readonly headers: () => MsgHdrs
}

/**
 * Delivers to streams of NATS (JetStream): an event counts as delivered once a stream has stored it.
 *
 * The id of the event is its `Nats-Msg-Id`: a stream stores it once, however often it is sent within the stream's
 * window for duplicates.
 *
 * @example
 * const engine = await createEngine({ database: 'app.db', destinationTypes: [nats()], encryptionKeys })
 * await engine.eventDestinations.create({
 *   name: 'Billing',
 *   type: 'nats',
 *   nats: { host: 'nats.example.com', tls: true, token, subject: 'events.{type}' },
 *   events: ['session.*'],
 * })
 */
export function nats({ ca }: NatsOptions = {}): DestinationType {
  const connections = createConnections<Session, Config>(
    (target, address, life) => open(target, { address, ca, life }),
    ({ connection }) => connection.close(),
  )
  return defineDestinationType<Config>({
    type: 'nats',
    config,
    secrets: ['password', 'token'],
    deliver: (message, target, call) =>
      connections.use(target, call, (session) => publish(session, message, target, call)),
    verify: (target, call) => connections.use(target, call, (session) => check(session, target)),
    close: () => connections.close(),
  }) as DestinationType
}

function isSubject(text: string): boolean {
  return /^[^\s.*>]+(?:\.[^\s.*>]+)*$/.test(text)
}

const transport = () =>
  loadOptional('@nats-io/transport-node', () => import('@nats-io/transport-node'))
const jetstream = () => loadOptional('@nats-io/jetstream', () => import('@nats-io/jetstream'))

interface Way {
  readonly address: string
  readonly ca: string | undefined
  readonly life: Life
}

async function open(target: Target<Config>, way: Way): Promise<Session> {
  const [{ connect, headers }, streams] = await Promise.all([transport(), jetstream()])
  const { life } = way
  try {
    const options = optionsOf(target, way)
    const connection = await withSockets(life.signal, () => connect(options))
    connection.closed().then((error) => life.lost(failureOf(error ?? ENDED, 'connection_failed')))
    return { connection, stream: streams.jetstream(connection), headers }
  } catch (error) {
    throw connectFailure(error, target.config)
  }
}

function connectFailure(error: unknown, { tls = false }: Config): Failure {
  // The library stumbles over a server that insists.
  if (tls || !namesOf(error).includes('TypeError')) return failureOf(error, 'connection_failed')
  const text = 'the server takes encrypted connections only: set tls'
  return new Failure('connection_failed', text, { cause: error })
}

const ENDED = new Error('the server has closed the connection')

// The deadline of whoever waits for it comes first.
const CONNECT_MS = 600_000

// Whatever has gone without a word is noticed after three of them.
const PING_MS = 10_000

function optionsOf(
  { id, config, secrets }: Target<Config>,
  { address, ca }: Way,
): NodeConnectionOptions {
  const { host: name, port = 4222, tls = false, username } = config
  const { password, token } = secrets as { readonly password?: string; readonly token?: string }
  const encryption = { host: name, servername: isIP(name) === 0 ? name : '', ...(ca && { ca }) }
  return {
    servers: isIP(address) === 6 ? `[${address}]:${port}` : `${address}:${port}`,
    name: `pawl ${id}`,
    tls: tls ? encryption : null,
    ...(token !== undefined && { token }),
    ...(username !== undefined && { user: username, pass: password ?? '' }),
    ...{ timeout: CONNECT_MS, pingInterval: PING_MS, noAsyncTraces: true },
    // Only the address that has been checked is connected to, whatever others the server names.
    ...{ reconnect: false, resolve: false, ignoreClusterUpdates: true },
  }
}

/**
 * Connects, and destroys the sockets of it at the end of its life: those of a server that says nothing, the library
 * forgets and leaves open.
 */
async function withSockets<T>(signal: AbortSignal, connect: () => Promise<T>): Promise<T> {
  const own = new AsyncLocalStorage<true>()
  const opened = (message: unknown): void => {
    const { socket } = message as { readonly socket: Socket }
    if (own.getStore()) signal.addEventListener('abort', () => socket.destroy(), { once: true })
  }
  subscribe('net.client.socket', opened)
  try {
    return await own.run(true, connect)
  } finally {
    unsubscribe('net.client.socket', opened)
    own.disable()
  }
}

async function publish(
  { connection, stream, headers }: Session,
  { id, type, body, tenant }: Message,
  { config }: Target<Config>,
  { timeout }: Call,
): Promise<Receipt> {
  const subject = config.subject.replaceAll(TYPE, type)
  const all = headers()
  all.set('Content-Type', 'application/json')
  all.set('pawl-tenant', tenant)
  try {
    const stored = await stream.publish(subject, body, { msgID: id, headers: all, timeout })
    return { ok: true, responseBody: JSON.stringify(stored) }
  } catch (error) {
    throw failureOf(error, connection.isClosed() ? 'connection_failed' : 'rejected', subject)
  }
}

/** Proves that there is a stream, as far as that can be known without an event. */
async function check({ connection }: Session, { config }: Target<Config>): Promise<Receipt> {
  const { subject } = config
  const { jetstreamManager } = await jetstream()
  const isOpen = subject.includes(TYPE)
  try {
    // It asks for the limits of the account, which there are where there is JetStream.
    const manager = await jetstreamManager(connection, { checkAPI: isOpen })
    if (!isOpen) await manager.streams.find(subject)
    return { ok: true }
  } catch (error) {
    throw failureOf(error, 'rejected', isOpen ? undefined : subject)
  }
}

// By the names of the library's errors.
const KINDS: Readonly<Record<string, FailureKind>> = {
  AuthorizationError: 'access_refused',
  UserAuthenticationExpiredError: 'access_refused',
  PermissionViolationError: 'access_refused',
  ClosedConnectionError: 'connection_failed',
  JetStreamNotEnabled: 'unroutable',
  StreamNotFoundError: 'unroutable',
  TimeoutError: 'timed_out',
}

function failureOf(error: unknown, otherwise: FailureKind, subject?: string): Failure {
  const [kind = otherwise] = namesOf(error).flatMap((name) => KINDS[name] ?? [])
  const isNowhere = kind === 'unroutable' && subject !== undefined
  const text = isNowhere ? `no stream takes ${JSON.stringify(subject)}` : messageOf(error)
  return new Failure(kind, text, { cause: error })
}

/** The names of an error and of its cause. */
function namesOf(error: unknown): readonly string[] {
  const { name, cause } = error as Partial<Error>
  const { name: inner } = (cause ?? {}) as Partial<Error>
  return [name, inner].flatMap((each) => each ?? [])
}
