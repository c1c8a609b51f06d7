/** How is everything that delivers put together? @module */

import type { Context } from '../context.ts'
import { invalidInput } from '../errors.ts'
import { taken } from '../given.ts'
import type { Ids } from '../ids.ts'
import { type Addresses, createAddresses } from './addresses.ts'
import type { KnownType, KnownTypes } from './checked-destinations.ts'
import type { Deliverer } from './deliverer.ts'
import { type DestinationType, takenType } from './destination-type.ts'
import { createSystemLookup } from './names.ts'
import { createRequests, type Requests } from './request.ts'
import { createResolver } from './resolve.ts'
import { type DeliveryOptions, type DeliverySettings, toDeliverySettings } from './settings.ts'
import { createWebhook, webhookIssues } from './webhook.ts'
import { createWorker, type Worker } from './worker.ts'

/** What delivery has before there is an engine. */
export interface DeliveryParts {
  readonly settings: DeliverySettings
  readonly types: KnownTypes
  readonly requests: Requests
  readonly addressOf: (host: string) => Promise<string>
}

/** What delivers for an engine. */
export interface Delivery {
  readonly deliverer: Deliverer
  readonly worker: Worker
  /** Ends all connections. */
  close(): Promise<void>
}

/** Prepares delivery. Throws `invalid_input` for options that cannot be. */
export function prepareDelivery(
  given: DeliveryOptions,
  types: readonly DestinationType[],
): DeliveryParts {
  const options = taken(given)
  const settings = toDeliverySettings(options)
  const addresses = createAddresses(options.allowPrivate ?? [])
  const lookup = options.lookup ?? createSystemLookup()
  const requests = createRequests(addresses, lookup)
  return {
    ...{ settings, requests, addressOf: createResolver(addresses, lookup) },
    types: knownTypes(requests, addresses, types),
  }
}

function knownTypes(
  requests: Requests,
  addresses: Addresses,
  others: readonly DestinationType[],
): KnownTypes {
  const webhook = createWebhook(requests) as DestinationType<never> as DestinationType
  const known = new Map<string, KnownType>()
  known.set(webhook.type, {
    type: webhook,
    issues: (config) => webhookIssues(config, addresses),
  })
  for (const [index, given] of others.entries()) {
    const type = takenType(given)
    if (known.has(type.type)) refuseTwice(index, type.type)
    known.set(type.type, { type, issues: () => [] })
  }
  return known
}

function refuseTwice(index: number, type: string): never {
  const message = `there is a type ${JSON.stringify(type)} already`
  const issue = { path: ['destinationTypes', index], code: 'taken', message }
  throw invalidInput('the option destinationTypes', [issue])
}

/** Creates what delivers. Its randomness is not that of the ids: those may not depend on how receivers answer. */
export function createDelivery(
  context: Context,
  { settings, types: known, requests, addressOf }: DeliveryParts,
  random: Ids,
): Delivery {
  const types = new Map([...known].map(([name, { type }]) => [name, type]))
  const chance = () => random.bytes(4).readUInt32BE() / 2 ** 32
  const deliverer = { context, settings, types, requests, addressOf, chance, loaded: new Map() }
  return {
    deliverer,
    worker: createWorker(deliverer),
    close: async () => {
      await Promise.allSettled([...types.values()].map((type) => type.close?.()))
    },
  }
}
