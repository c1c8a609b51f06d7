/** What do the tests of deliveries share? @module */

import { Webhook } from 'svix'
import { onTestFinished } from 'vitest'
import type { DeliveryOptions } from '../../src/index.ts'
import {
  type AnyEngine,
  type AnyEvent,
  type AnyResource,
  type AnyTestEngine,
  collect,
  handleOf,
  type Page,
  setupEngine,
} from '../support/engine.ts'
import {
  type Answer,
  createReceiver,
  type Received,
  type Receiver,
  type ReceiverOptions,
} from '../support/receivers.ts'
import { makeDestination, read, send } from '../support/world.ts'

export interface AnyDelivery {
  readonly id: string
  readonly object: string
  readonly status: string
  readonly event_id: string
  readonly event_type: string
  readonly destination_id: string
  readonly attempts: number
  readonly next_attempt_at: string | null
  readonly last_error: string | null
  readonly created_at: string
  readonly delivered_at: string | null
}

export interface AnyAttempt {
  readonly number: number
  readonly at: string
  readonly status_code: number | null
  readonly duration_ms: number
  readonly error: string | null
  readonly response_body: string | null
}

export interface AnyDeliveryWithAttempts extends AnyDelivery {
  readonly attempt_log: readonly AnyAttempt[]
}

type Options = Readonly<Record<string, unknown>>

/** `engine.deliveries`, taking whatever a test gives it. */
export interface AnyDeliveries {
  list(filter?: unknown): PromiseLike<Page<AnyDelivery>> & AsyncIterable<AnyDelivery>
  get(id: string): Promise<AnyDeliveryWithAttempts>
  resend(id: string): Promise<AnyDelivery>
  explain(question: unknown): Promise<{ delivered: boolean; reason: string; message: string }>
  replay(options: unknown): Promise<{ events: number }>
  verify(destinationId: string): Promise<AnyResource>
}

/** The deliveries of an engine, or of a tenant of it. */
export function deliveriesOf(engine: AnyEngine): AnyDeliveries {
  return (engine as unknown as { readonly deliveries: AnyDeliveries }).deliveries
}

/** Lets requests go to this machine, and makes every wait exact. */
export const LOCAL: DeliveryOptions = { allowPrivate: ['127.0.0.0/8'], jitter: 0 }

/** An engine that delivers to this machine. */
export function setupDelivering(
  delivery: DeliveryOptions = {},
  options: Options = {},
): Promise<AnyTestEngine> {
  return setupEngine({ delivery: { ...LOCAL, ...delivery }, ...options })
}

/** A receiver that closes with the test. */
export async function setupReceiver(options: ReceiverOptions = {}): Promise<Receiver> {
  const receiver = await createReceiver(options)
  onTestFinished(() => receiver.close())
  return receiver
}

/** A destination for a URL that has been verified; the clock stands where it stood. */
export async function activate(
  engine: AnyEngine,
  url: string,
  input: Options = {},
): Promise<AnyResource> {
  const destination = await makeDestination(engine, { webhook: { url }, ...input })
  return deliveriesOf(engine).verify(destination.id)
}

/** The same, with the secret that signs. */
export async function activateSigned(engine: AnyEngine, url: string, input: Options = {}) {
  const { resource, secrets } = await handleOf(engine, 'eventDestinations').create({
    ...{ name: 'Hooks', webhook: { url }, events: ['*'] },
    ...input,
  })
  const destination = await deliveriesOf(engine).verify(resource.id)
  return { destination, secret: String(secrets?.secret) }
}

/** Replaces the secret of a destination, and gives the new one. */
export async function rotate(engine: AnyEngine, destination: AnyResource): Promise<string> {
  const { secrets } = await command(engine, destination, 'rotate_secret')
  return String(secrets?.secret)
}

/** Whether one of the signatures of a request was made with a secret, as Svix sees it. */
export function isSignedWith({ headers, body }: Received, secret: string): boolean {
  const at = new Date(Number(headers['webhook-timestamp']) * 1000)
  const expected = new Webhook(secret).sign(String(headers['webhook-id']), at, body)
  return String(headers['webhook-signature']).split(' ').includes(expected)
}

/** An engine, a receiver, and an active destination that leads to it. */
export async function setupDelivery(
  delivery: DeliveryOptions = {},
  input: Options = {},
  options: Options = {},
) {
  const receiver = await setupReceiver()
  const engine = await setupDelivering(delivery, options)
  const destination = await activate(engine, receiver.url, input)
  return { engine, receiver, destination, deliveries: deliveriesOf(engine) }
}

/** Creates an agent, and gives its event. */
export async function emit(engine: AnyEngine, name = 'Ada'): Promise<AnyEvent> {
  const { events } = await handleOf(engine, 'agents').create({ name })
  return first(events)
}

/** Changes an agent, and gives its event. */
export async function rename(engine: AnyEngine, id: string, name: string): Promise<AnyEvent> {
  const { events } = await send(engine, 'agent', id, { type: 'update', name })
  return first(events)
}

/** The first of some things, of which there has to be one. */
export function first<T>(things: readonly T[]): T {
  const [thing] = things
  if (thing === undefined) throw new Error('there is none')
  return thing
}

/** All deliveries that a filter lets through, oldest first. */
export function listed(engine: AnyEngine, filter: Options = {}): Promise<AnyDelivery[]> {
  return collect(deliveriesOf(engine).list({ order: 'asc', limit: 1000, ...filter }))
}

/** The one delivery of an event. */
export async function deliveryOf(
  engine: AnyEngine,
  event: { readonly id: string },
  filter: Options = {},
): Promise<AnyDeliveryWithAttempts> {
  const found = await listed(engine, { event: event.id, ...filter })
  if (found.length !== 1) throw new Error(`${found.length} deliveries where one was expected`)
  return deliveriesOf(engine).get(first(found).id)
}

/** What a destination is now. */
export function destinationNow(engine: AnyEngine, { id }: { readonly id: string }) {
  return read(engine, 'event_destination', id)
}

/** Sends a command to a destination. */
export async function command(
  engine: AnyEngine,
  { id }: { readonly id: string },
  type: string,
  payload: Options = {},
) {
  return send(engine, 'event_destination', id, { type, ...payload })
}

/** The requests that carried events, verification left out. */
export function deliveredTo(receiver: Receiver): readonly Received[] {
  return receiver.requests.filter(
    ({ headers, method }) => method === 'POST' && String(headers['webhook-id']).startsWith('evt_'),
  )
}

/** The ids of the events in the order in which requests for them came. */
export function idsAt(receiver: Receiver): string[] {
  return deliveredTo(receiver).map(({ headers }) => String(headers['webhook-id']))
}

/** Answers everything with a status. */
export const status =
  (code: number, headers: Record<string, string> = {}) =>
  (): Answer => ({
    status: code,
    headers,
  })

/** How long after an instant another one is, in milliseconds. */
export function msBetween(from: string | Date, to: string | Date): number {
  return new Date(to).getTime() - new Date(from).getTime()
}
