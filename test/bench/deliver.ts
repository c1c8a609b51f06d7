/** How fast are webhooks delivered, and does one dead receiver hold up the others? @module */

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setInterval } from 'node:timers/promises'
import { Agent, request } from 'undici'
import { createEngine, generateKey } from '../../src/index.ts'
import type { Found, Rate } from './found.ts'
import { drive, quantile, times } from './measure.ts'

const CONCURRENCY = 64

/** What the engine is compared with. */
export const BARE = 'deliver/undici'

type Arrival = readonly [eventId: string, at: number]

/** A receiver in another process. */
interface Receiver {
  readonly url: string
  /** The events that have arrived since this was asked for last, and when. */
  arrivals(): Promise<readonly Arrival[]>
  close(): void
}

/** Delivers so many events to one receiver, and few to many; beside it, what is sent without an engine. */
export async function measureDeliver(folder: string, events: number): Promise<Found> {
  const receiver = await startReceiver()
  try {
    const bare = await sendBare(receiver, events)
    const delivered = await deliverAll(join(folder, 'deliver.db'), receiver, events)
    const [alone, beside] = await latencies(folder, receiver)
    const moved = beside / alone
    const note = `p95 ${beside.toFixed(1)} ms with one dead of 50, ${alone.toFixed(1)} ms without`
    return {
      rates: [bare, delivered],
      figures: [{ name: 'deliver/dead', value: moved, unit: '×', note }],
    }
  } finally {
    receiver.close()
  }
}

async function startReceiver(): Promise<Receiver> {
  const child = fork(join(import.meta.dirname, 'deliver-receiver.js'))
  const [{ port }] = await once(child, 'message')
  return {
    url: `http://127.0.0.1:${port}`,
    arrivals: async () => {
      child.send('arrivals')
      const [{ arrivals }] = await once(child, 'message')
      return arrivals
    },
    close: () => child.disconnect(),
  }
}

/** What the same requests take without an engine: nothing is signed, noted or tried again. */
async function sendBare({ url, arrivals }: Receiver, events: number): Promise<Rate> {
  const dispatcher = new Agent()
  const headers = { 'content-type': 'application/json', 'webhook-id': 'evt_0000000000000000000000' }
  const body = JSON.stringify({ id: headers['webhook-id'], object: 'event', data: BODY })
  const send = async () => {
    const answer = await request(`${url}/bare`, { dispatcher, method: 'POST', headers, body })
    await answer.body.dump()
  }
  const sample = await drive(CONCURRENCY, times(events), send)
  await dispatcher.close()
  await arrivals()
  return { name: BARE, durability: 'full', ...sample, bytes: null }
}

function open(database: string) {
  return createEngine({
    database,
    encryptionKeys: [generateKey()],
    delivery: { allowPrivate: ['127.0.0.0/8'], verification: 'manual', concurrency: CONCURRENCY },
  })
}

type Engine = Awaited<ReturnType<typeof open>>

async function addDestination(engine: Engine, url: string): Promise<void> {
  const { resource } = await engine.eventDestinations.create({
    ...{ name: 'Bench', webhook: { url }, events: ['agent.*'] },
    delivery: { concurrency: CONCURRENCY },
  })
  await engine.eventDestinations.send(resource.id, { type: 'activate' })
}

/** The events are there before: what is measured is giving them out, delivering them, and noting that. */
async function deliverAll(file: string, receiver: Receiver, events: number): Promise<Rate> {
  const engine = await open(file)
  await addDestination(engine, `${receiver.url}/hook`)
  await drive(CONCURRENCY, times(events), () => engine.agents.create({ name: 'Agent' }))
  const start = performance.now()
  await engine.tick()
  const perSecond = events / ((performance.now() - start) / 1000)
  await engine.close()
  const { length } = await receiver.arrivals()
  if (length !== events) throw new Error(`${length} of ${events} events have arrived`)
  const unknown = { p50: null, p99: null, loop: null, bytes: null }
  return { name: 'deliver/pawl', durability: 'full', perSecond, ...unknown }
}

const DESTINATIONS = 50
const PACE_MS = 50
const EVENTS = 200

/**
 * How long 95 of 100 events take from the call to a receiver that answers, in milliseconds: without a dead one, and
 * beside one. Event by event in turn, so that whatever disturbs the machine disturbs both.
 */
async function latencies(folder: string, receiver: Receiver): Promise<readonly [number, number]> {
  const alone = await openAmong(join(folder, 'alone.db'), receiver, 0)
  const beside = await openAmong(join(folder, 'beside.db'), receiver, 1)
  const sent = new Map<string, { readonly at: number; readonly engine: Engine }>()
  for await (const name of setInterval(PACE_MS, 'Agent')) {
    if (sent.size === 2 * EVENTS) break
    const engine = sent.size % 2 === 0 ? alone : beside
    const at = performance.timeOrigin + performance.now()
    const { events } = await engine.agents.create({ name })
    sent.set(events[0]?.id ?? '', { at, engine })
  }
  for (const engine of [alone, beside]) {
    await engine.stop()
    await engine.close()
  }
  const arrivals = await receiver.arrivals()
  const tookOf = (engine: Engine) =>
    arrivals.flatMap(([id, at]) => {
      const one = sent.get(id)
      return one?.engine === engine ? [at - one.at] : []
    })
  return [quantile(tookOf(alone), 0.95), quantile(tookOf(beside), 0.95)]
}

async function openAmong(file: string, receiver: Receiver, dead: number): Promise<Engine> {
  const engine = await open(file)
  for (let n = 0; n < DESTINATIONS; n += 1)
    await addDestination(engine, `${receiver.url}/${n < dead ? 'dead' : 'hook'}`)
  await engine.start()
  return engine
}

// As much as an event of an agent shows.
const BODY = {
  ...{ id: 'agt_0000000000000000000000', object: 'agent', status: 'active', name: 'Agent' },
  ...{
    description: null,
    created_at: new Date(0).toISOString(),
    updated_at: new Date(0).toISOString(),
  },
}
