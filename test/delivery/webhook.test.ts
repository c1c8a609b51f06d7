/** Is a webhook a type of destinations like any other? @module */

import { createServer } from 'node:http'
import type { AddressInfo, LookupFunction } from 'node:net'
import { nanoid } from 'nanoid'
import { describe } from 'vitest'
import { createAddresses } from '../../src/delivery/addresses.ts'
import type { DestinationType, Target } from '../../src/delivery/destination-type.ts'
import { createRequests } from '../../src/delivery/request.ts'
import { createWebhook } from '../../src/delivery/webhook.ts'
import {
  type Arrived,
  describeDestinationType,
  HOST,
  type PlaceName,
  type Setup,
} from './contract.ts'

/** Every name leads to this machine. */
const lookup: LookupFunction = (_, { all }, callback) => {
  const address = '127.0.0.1'
  if (all === true) callback(null, [{ address, family: 4 }])
  else callback(null, address, 4)
}

function typeFor(allowed: readonly string[]): DestinationType {
  return createWebhook(createRequests(createAddresses(allowed), lookup)) as DestinationType<never>
}

function targetOf(port: number, place: PlaceName): Target {
  const config = { url: `http://${HOST}:${port}/${place}` }
  return { id: `evtd_${nanoid()}`, config, secrets: {}, keys: [Buffer.alloc(32)] }
}

async function setup(): Promise<Setup> {
  const received: Record<string, Arrived[]> = { first: [], second: [] }
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    received[request.url?.slice(1) ?? '']?.push({ id: String(request.headers['webhook-id']), body })
    response.end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    ...{ type: typeFor(['127.0.0.0/8']), blocked: typeFor([]), port },
    target: (place = 'first') => targetOf(port, place),
    at: (other) => targetOf(other, 'first'),
    received: async (place = 'first') => received[place] ?? [],
    close: async () => {
      server.closeAllConnections()
      server.close()
    },
  }
}

describe('a webhook', () => describeDestinationType('webhook', setup))
