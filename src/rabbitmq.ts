/** How does an event reach RabbitMQ? `pawl/rabbitmq`, a type of destinations; needs amqplib. @module */

import { isIP } from 'node:net'
import type { ChannelModel, ConfirmChannel } from 'amqplib'
import { z } from 'zod'
import {
  createConnections,
  Failure,
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
export interface RabbitmqOptions {
  /** Certificates of authorities that may vouch for a broker, PEM. @defaultValue those that Node trusts */
  readonly ca?: string
}

// The protocol gives the length of such texts one byte.
const shortText = z.string().refine((text) => Buffer.byteLength(text) <= 255, 'is too long')

const config = strictObject({
  host,
  port: z.int().min(1).max(65_535).exactOptional().describe('5672 by default, 5671 with `tls`.'),
  tls: z.boolean().exactOptional().describe('Whether to encrypt; false by default.'),
  vhost: shortText.min(1).exactOptional().describe('The virtual host, "/" by default.'),
  username: z.string().exactOptional().describe('"guest" by default.'),
  password: z.string().exactOptional().describe('"guest" by default.'),
  exchange: shortText.describe('Where to publish; "" is the exchange that leads to every queue.'),
  routing_key: shortText.exactOptional().describe('By default the type of the event.'),
})

type Config = z.output<typeof config>

/** What is open of a connection, and what is under way on it. */
interface Session {
  readonly model: ChannelModel
  readonly channel: ConfirmChannel
  readonly flights: Set<Flight>
}

/** An event that has been published and not confirmed. */
interface Flight {
  readonly id: string
  /** Why the broker has sent it back. */
  returned?: string
}

/**
 * Delivers to exchanges of RabbitMQ: persistent messages, published with `mandatory` and a confirm, so that an event
 * counts as delivered once a queue has it.
 *
 * The id of the event is the `messageId`, by which consumers know what they have had before.
 *
 * @example
 * const engine = await createEngine({ database: 'app.db', destinationTypes: [rabbitmq()], encryptionKeys })
 * await engine.eventDestinations.create({
 *   name: 'Billing',
 *   type: 'rabbitmq',
 *   rabbitmq: { host: 'mq.example.com', tls: true, username: 'pawl', password, exchange: 'events' },
 *   events: ['session.*'],
 * })
 */
export function rabbitmq({ ca }: RabbitmqOptions = {}): DestinationType {
  const connections = createConnections<Session, Config>(
    (target, address, life) => open(target, { address, ca, life }),
    ({ model }) => model.close(),
  )
  return defineDestinationType<Config>({
    type: 'rabbitmq',
    config,
    secrets: ['password'],
    deliver: (message, target, call) =>
      connections.use(target, call, (session) => publish(session, message, target, call)),
    verify: (target, call) => connections.use(target, call, (session) => check(session, target)),
    close: () => connections.close(),
  }) as DestinationType
}

interface Way {
  readonly address: string
  readonly ca: string | undefined
  readonly life: Life
}

async function open(target: Target<Config>, { address, ca, life }: Way): Promise<Session> {
  const { connect } = await loadOptional('amqplib', () => import('amqplib'))
  const { host: name } = target.config
  const socket = {
    clientProperties: { connection_name: `pawl ${target.id}` },
    noDelay: true,
    signal: life.signal,
    ...(isIP(name) === 0 && { servername: name }),
    ...(ca !== undefined && { ca }),
  }
  const model = await connect(loginOf(target, address), socket).catch((error: unknown) => {
    throw loginFailure(error, target.config)
  })
  // Without a listener, an error would end the process.
  model.on('error', (error) => life.lost(failureOf(error, 'connection_failed')))
  model.on('close', (error) => life.lost(failureOf(error ?? ENDED, 'connection_failed')))
  return { model, ...(await channelOf(model, life)) }
}

const ENDED = new Error('the broker has closed the connection')

// Whatever has gone without a word is noticed after two of them.
const HEARTBEAT_S = 10

function loginOf({ config, secrets }: Target<Config>, hostname: string) {
  const { tls = false, port = tls ? 5671 : 5672, vhost = '/', username = 'guest' } = config
  const { password = 'guest' } = secrets as { readonly password?: string }
  return {
    ...{ protocol: tls ? 'amqps' : 'amqp', hostname, port, username, password },
    // The library decodes it.
    vhost: encodeURIComponent(vhost),
    heartbeat: HEARTBEAT_S,
  }
}

async function channelOf(model: ChannelModel, life: Life): Promise<Omit<Session, 'model'>> {
  const channel = await model.createConfirmChannel().catch((error: unknown) => {
    throw failureOf(error, 'connection_failed')
  })
  const flights = new Set<Flight>()
  channel.on('error', (error) => life.lost(failureOf(error, 'channel_closed')))
  // It comes before the confirm: to the broker, an event that no queue takes is done with.
  channel.on('return', ({ fields, properties }) => {
    const { replyCode, replyText } = fields as unknown as Readonly<Record<string, unknown>>
    for (const flight of flights)
      if (flight.id === properties.messageId) flight.returned = `${replyCode} ${replyText}`
  })
  return { channel, flights }
}

async function publish(
  { channel, flights }: Session,
  message: Message,
  { config }: Target<Config>,
  call: Call,
): Promise<Receipt> {
  const { exchange, routing_key: key = message.type } = config
  const flight: Flight = { id: message.id }
  flights.add(flight)
  try {
    await confirmed(channel, { exchange, key, message, call })
  } finally {
    flights.delete(flight)
  }
  if (flight.returned === undefined) return { ok: true }
  const place = `the exchange ${JSON.stringify(exchange)} with the key ${JSON.stringify(key)}`
  throw new Failure('unroutable', `${place} leads to no queue (${flight.returned})`)
}

interface Publication {
  readonly exchange: string
  readonly key: string
  readonly message: Message
  readonly call: Call
}

async function confirmed(
  channel: ConfirmChannel,
  { exchange, key, message, call }: Publication,
): Promise<void> {
  const body = Buffer.from(message.body)
  try {
    await new Promise<void>((resolve, reject) => {
      const answered = (error: unknown) => (error ? reject(error) : resolve())
      channel.publish(exchange, key, body, propertiesOf(message, call), answered)
    })
  } catch (error) {
    throw failureOf(error, isClosed(error) ? 'channel_closed' : 'rejected')
  }
}

function propertiesOf({ id, type, tenant }: Message, { at }: Call) {
  return {
    ...{ mandatory: true, persistent: true, contentType: 'application/json' },
    ...{ messageId: id, type, headers: { tenant } },
    timestamp: Math.floor(at.getTime() / 1000),
  }
}

/** Proves that there is something to publish to. */
async function check({ model }: Session, { config }: Target<Config>): Promise<Receipt> {
  try {
    // What is not there closes the channel that it is asked about.
    const channel = await model.createChannel()
    channel.on('error', () => {})
    if (config.exchange !== '') await channel.checkExchange(config.exchange)
    await channel.close()
    return { ok: true }
  } catch (error) {
    throw failureOf(error, 'channel_closed')
  }
}

function isClosed(error: unknown): boolean {
  return /channel (?:closed|closing)|connection clos/i.test(messageOf(error))
}

function loginFailure(error: unknown, { vhost = '/' }: Config): Failure {
  // The library does not pass on what the broker says about it.
  if (messageOf(error).includes('got <ConnectionClose')) {
    const text = `the broker does not let this user into the virtual host ${JSON.stringify(vhost)}`
    return new Failure('access_refused', text, { cause: error })
  }
  return failureOf(error, 'connection_failed')
}

// "not allowed", of a connection and of a channel.
const REFUSED = new Set(['403', '530'])

/** A failure in the broker's own words, where there are some. */
function failureOf(error: unknown, otherwise: 'connection_failed' | 'channel_closed' | 'rejected') {
  const said = messageOf(error)
  const [, code = '', words = said] = /(\d{3}) \([A-Z-]+\) with message "(.*)"/s.exec(said) ?? []
  return new Failure(REFUSED.has(code) ? 'access_refused' : otherwise, words, { cause: error })
}
