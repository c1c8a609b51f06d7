import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { setInterval } from 'node:timers/promises'
import Sqlite from 'better-sqlite3'
import { Webhook } from 'standardwebhooks'
import { agentPlatform } from '../../machines/index.ts'
import { createEngine, type EngineOptions } from '../../src/index.ts'
import { collect } from '../support/engine.ts'
import type { FastEngine } from './fast-platform.ts'

/** Resolves after so many milliseconds: how long a process lives, or a receiver takes. */
export async function after(milliseconds: number): Promise<void> {
  for await (const _ of setInterval(Math.max(1, milliseconds))) return
}

/** What a process that sends is told to do. */
export interface SenderWork {
  readonly database: string
  readonly durability: 'full' | 'relaxed'
  readonly seed: number
  /** It makes events until there are so many. */
  readonly events: number
  /** Whether it ends when everything is delivered; else it goes on until it is killed. */
  readonly ends: boolean
}

// Nothing here is about timers, and a run may take long.
const TIMEOUTS = {
  session_provisioning: '30d',
  session_idle: '30d',
  session_teardown: '30d',
  task_run_timeout: '30d',
  task_run_interaction: '30d',
  task_run_canceling: '30d',
} as const

/** How many attempts a sender has under way at once, at most. */
export const CONCURRENCY = 64

/** What everybody opens the file with: impatient, and hardly ever giving up. */
export const SENDING = {
  resources: agentPlatform({ timeouts: TIMEOUTS }),
  encryptionKeys: [Buffer.alloc(32, 7).toString('base64')],
  delivery: {
    allowPrivate: ['127.0.0.0/8'],
    timeout: '1s',
    concurrency: CONCURRENCY,
    retries: Array.from({ length: 100 }, () => '50ms' as const),
  },
} satisfies Partial<EngineOptions>

/** Opens an engine that delivers to this machine. */
export function openSending(
  database: string,
  durability: SenderWork['durability'],
): Promise<FastEngine> {
  return createEngine({ ...SENDING, database, durability })
}

/** What becomes of a destination in its life, as the first word of its name. */
type Life = 'steady' | 'changing' | 'pausing'

/** What a destination wants. */
type Wish = readonly [life: Life, events: readonly string[]]

/** The destinations of a file take turns in what they want. */
const WISHES: readonly Wish[] = [
  ['steady', ['*']],
  ['changing', ['agent.*']],
  ['pausing', ['task.*', 'session.created']],
  ['steady', ['task.updated', 'session.*', 'credential.created']],
  ['steady', ['event_destination.*', 'source.created']],
  ['steady', ['task_run.*']],
  ['steady', ['agent.created']],
]

/** What those that change want, one of these after the other. */
export const CHANGES: readonly (readonly string[])[] = [
  ['agent.*'],
  ['agent.created', 'task_run.*'],
  ['*'],
  ['source.*', 'task.updated'],
]

/** The destinations of this sort. */
export async function destinationsOf(engine: FastEngine, life: Life) {
  const all = await collect(await engine.eventDestinations.list({ order: 'asc', limit: 1000 }))
  return all.filter(({ name }) => name.startsWith(life))
}

/** Creates a destination for each inbox. Those that pause are activated by hand: asking for a proof takes its time. */
export async function createDestinations(
  engine: FastEngine,
  { url, inboxes }: Receivers,
  wishes = WISHES,
): Promise<void> {
  for (const [index, inbox] of inboxes.entries()) {
    const [life, events] = wishes[index % wishes.length] ?? ['steady', ['*']]
    const { resource, secrets } = await engine.eventDestinations.create({
      name: `${life} ${index}`,
      events: [...events],
      webhook: { url: `${url}${index}` },
      delivery: { verification: life === 'pausing' ? 'manual' : 'challenge' },
    })
    Object.assign(inbox, { destination: resource.id, secret: secrets?.secret })
  }
}

/** Takes a destination out of service and back, or from wherever that was interrupted. */
export async function interrupt(engine: FastEngine, id: string): Promise<void> {
  const { status } = await engine.eventDestinations.get(id)
  if (status === 'active') await engine.eventDestinations.send(id, { type: 'deactivate' })
  await bringBack(engine, id)
}

/** Has a destination go on from where it was stopped, unless it is at work. */
export async function bringBack(engine: FastEngine, id: string): Promise<void> {
  const { status } = await engine.eventDestinations.get(id)
  if (status === 'inactive') await engine.eventDestinations.send(id, { type: 'reactivate' })
  await engine.eventDestinations.send(id, { type: 'activate' })
}

/** Has all destinations be active now. */
export async function activateAll(engine: FastEngine): Promise<void> {
  for (const { id, name } of await collect(await engine.eventDestinations.list({ limit: 1000 }))) {
    if (name.startsWith('pausing')) await bringBack(engine, id)
    else await engine.deliveries.verify(id)
  }
}

/** Reads a number from a file. */
function numberIn(database: string, query: string): number {
  const raw = new Sqlite(database)
  const number = raw.prepare<[], number>(query).pluck().get()
  raw.close()
  return number ?? 0
}

/** How many events there are, for whomever. */
export function countEvents(database: string): number {
  return numberIn(database, 'select count(*) from pawl_events where internal = 0')
}

/** Whether the whole log has been given out. */
const GIVEN_OUT = `
  select (select position from pawl_dispatch) = (select max(seq) from pawl_events)
    and not exists (select 1 from pawl_destinations where phase = 'behind')`

/** Waits until all that there is has been delivered. */
export async function allDelivered(engine: FastEngine, database: string): Promise<void> {
  const status = ['pending', 'delivering', 'waiting'] as const
  const isOver = async () =>
    numberIn(database, GIVEN_OUT) === 1 &&
    (await engine.deliveries.list({ status, limit: 1 })).data.length === 0
  while (!(await isOver())) await after(10)
}

/** The destinations of the script. */
export const SCRIPTED: readonly Wish[] = [
  ['steady', ['*']],
  ['pausing', ['task.*', 'agent.created']],
]

/** The calls of the script, each with a key: whoever is interrupted makes all of them again. */
export async function makeCalls(engine: FastEngine): Promise<void> {
  const keyed = (idempotencyKey: string) => ({ idempotencyKey })
  const agent = await engine.agents.create({ name: 'A' }, keyed('agent'))
  const input = { name: 'T', agent_id: agent.resource.id }
  const { id } = (await engine.tasks.create(input, keyed('task'))).resource
  await engine.tasks.send(id, { type: 'update', name: 'U' }, keyed('update'))
  await engine.tasks.send(id, { type: 'promote' }, keyed('promote'))
  await engine.sessions.create({}, keyed('session'))
}

/** What a receiver does about an event: accept it, refuse it, say nothing, break the connection. */
export type Mood = 'well' | 'unavailable' | 'silent' | 'reset'

/** Says what a receiver does next. */
export type Moods = () => Mood

// How often a receiver begins to fail, and for how long it does at most.
const FAILING = 1 / 200
const LONGEST_FAILURE_MS = 300

/** Moods that are bad for a while now and then, as the random numbers want it. */
export function badNowAndThen(random: () => number): Moods {
  let bad: Mood = 'well'
  let until = 0
  return () => {
    const now = performance.now()
    if (now >= until) bad = 'well'
    if (bad !== 'well' || random() >= FAILING) return bad
    bad = (['unavailable', 'silent', 'reset'] as const)[Math.floor(random() * 3)] ?? 'reset'
    until = now + random() * LONGEST_FAILURE_MS
    return bad
  }
}

/** Moods that are bad for the second request and the fourth. */
export function badTwice(): Moods {
  const moods: Mood[] = ['well', 'unavailable', 'well', 'reset']
  return () => moods.shift() ?? 'well'
}

/** What has come for one destination. */
export interface Inbox {
  /** The id of the destination. */
  readonly destination: string
  readonly secret: string
  /** How often each event has come. */
  readonly arrived: Map<string, number>
  /** How often each has been accepted, in the order in which each was for the first time. */
  readonly accepted: Map<string, number>
  /** What was wrong with requests. */
  readonly faults: string[]
}

/** Receivers of webhooks on this machine, each at a path of its own. */
export interface Receivers {
  /** What the number of a receiver is appended to. */
  readonly url: string
  readonly inboxes: readonly Inbox[]
  /** The body with which each event came first, to whomever. */
  readonly bodies: ReadonlyMap<string, Buffer>
  close(): void
}

// Some answers take a moment, so that others overtake them.
const SLOW = 0.1
const SLOWEST_MS = 20

/** Starts so many receivers, each with its own moods. */
export async function createReceivers(
  count: number,
  random: () => number,
  moods: () => Moods,
): Promise<Receivers> {
  const bodies = new Map<string, Buffer>()
  const all = Array.from({ length: count }, () => ({ inbox: createInbox(), mood: moods() }))
  const take = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await buffer(request)
    const { inbox, mood } = all[Number(request.url?.slice(1))] ?? {}
    if (inbox === undefined || mood === undefined) return void response.writeHead(404).end()
    const event = read(inbox, bodies, { headers: request.headers, body })
    if ('challenge' in event) return void response.end(JSON.stringify(event))
    if (random() < SLOW) await after(random() * SLOWEST_MS)
    answer(response, mood(), () => increment(inbox.accepted, event.id))
  }
  const server = createServer(
    // A connection that ends while it is idle may take the next request with it.
    { keepAliveTimeout: 0 },
    // Whoever sends may die in the middle of it.
    (request, response) => void take(request, response).catch(() => response.destroy()),
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { readonly port: number }
  const close = (): void => {
    server.close()
    server.closeAllConnections()
  }
  const inboxes = all.map(({ inbox }) => inbox)
  return { url: `http://127.0.0.1:${port}/`, inboxes, bodies, close }
}

function sumOf<T>(some: Iterable<T>, numberOf: (one: T) => number): number {
  let sum = 0
  for (const one of some) sum += numberOf(one)
  return sum
}

function createInbox(): Inbox {
  return { destination: '', secret: '', arrived: new Map(), accepted: new Map(), faults: [] }
}

function increment(counts: Map<string, number>, id: string): void {
  counts.set(id, (counts.get(id) ?? 0) + 1)
}

/** Accepts an event, or does not. */
function answer(response: ServerResponse, mood: Mood, accept: () => void): void {
  // Who has gone in the meantime has had no answer.
  if (response.destroyed || mood === 'silent') return
  if (mood === 'reset') return void response.socket?.resetAndDestroy()
  if (mood === 'well') accept()
  response.writeHead(mood === 'well' ? 200 : 503).end()
}

interface Request {
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

type Read = { readonly id: string } | { readonly challenge: string }

/** Reads what has come, and notes what is wrong with it: a signature, an id, another body than before. */
function read(inbox: Inbox, bodies: Map<string, Buffer>, { headers, body }: Request): Read {
  const said: Read = JSON.parse(body.toString())
  const given = headers['webhook-id']
  const fault = (what: string) => void inbox.faults.push(`${given}: ${what}`)
  try {
    new Webhook(inbox.secret).verify(body, headers as Record<string, string>)
  } catch (error) {
    fault(`it is not signed: ${error}`)
  }
  if ('challenge' in said) return { challenge: said.challenge }
  if (said.id !== given) fault(`it has the id ${said.id} in its body`)
  const first = bodies.get(said.id)
  if (first === undefined) bodies.set(said.id, body)
  else if (!first.equals(body)) fault(`it was ${first} before, and is ${body} now`)
  increment(inbox.arrived, said.id)
  return said
}

/** An event of the log, as far as deliveries are concerned. */
interface LogEvent {
  readonly id: string
  readonly type: string
  readonly seq: number
  readonly resource_id: string
  readonly data: object
  readonly created_at: string
  /** What is not public is for nobody, but may say what a destination wants. */
  readonly internal: boolean
}

/** What has come of it, and all that is not as it was promised. */
export interface Judgement {
  readonly problems: readonly string[]
  readonly events: number
  readonly deliveries: number
  readonly attempts: number
  /** How many requests have been accepted although they had been before. */
  readonly duplicates: number
}

/** Compares what the receivers have got with the log, and with what the file says of it. */
export async function judge(engine: FastEngine, receivers: Receivers): Promise<Judgement> {
  const { inboxes, bodies } = receivers
  const log: LogEvent[] = await collect(
    await engine.events.list({ order: 'asc', limit: 1000, internal: true }),
  )
  const wanted = new Map(inboxes.map((inbox) => [inbox.destination, wantedBy(inbox, log)]))
  const rows = await judgeRows(engine, inboxes, wanted)
  const { differences } = await engine.verify()
  const problems = [
    ...inboxes.flatMap((inbox) => judgeInbox(inbox, wanted.get(inbox.destination) ?? new Map())),
    ...log.flatMap((event) => judgeBody(event, bodies.get(event.id))),
    ...rows.problems,
    ...differences.map(({ message }) => `the file: ${message}`),
  ]
  const duplicates = sumOf(inboxes, ({ accepted }) =>
    sumOf(accepted.values(), (times) => times - 1),
  )
  return { ...rows, problems, events: log.filter(({ internal }) => !internal).length, duplicates }
}

type Wanted = ReadonlyMap<string, LogEvent>

/** What a destination is to have: from its first activation on, by what it wants at each place of the log. */
function wantedBy({ destination }: Inbox, log: readonly LogEvent[]): Wanted {
  let patterns: readonly string[] = []
  let hasBegun = false
  const wanted = log.filter(({ resource_id, type, data, internal }) => {
    if (resource_id !== destination)
      return (
        !internal &&
        patterns.some(
          (one) => one === type || (one.endsWith('*') && type.startsWith(one.slice(0, -1))),
        )
      )
    const { status, events } = data as { readonly status: string; readonly events: string[] }
    hasBegun ||= status === 'active'
    if (hasBegun) patterns = events
    return false
  })
  return new Map(wanted.map((event) => [event.id, event]))
}

/** Nothing lost, nothing strange, and in order for each resource. */
function judgeInbox({ destination, arrived, accepted, faults }: Inbox, wanted: Wanted): string[] {
  const lost = [...wanted.values()].filter(({ id }) => !accepted.has(id))
  const strange = [...arrived.keys()].filter((id) => !wanted.has(id))
  const latest = new Map<string, number>()
  const disordered = [...accepted.keys()].filter((id) => {
    const { resource_id = '', seq = 0 } = wanted.get(id) ?? {}
    const before = latest.get(resource_id) ?? 0
    latest.set(resource_id, Math.max(before, seq))
    return seq < before
  })
  return [
    ...lost.map(({ id, seq, type }) => `${destination} has never got ${type} ${id} at ${seq}`),
    ...strange.map((id) => `${destination} has got ${id}, which is not for it`),
    ...disordered.map((id) => `${destination} has got ${id} at ${wanted.get(id)?.seq} too late`),
    ...faults.map((fault) => `${destination}: ${fault}`),
  ]
}

/** Whoever has got it has got what the log says. */
function judgeBody({ id, type, data, created_at }: LogEvent, body: Buffer | undefined): string[] {
  const expected = JSON.stringify({ id, object: 'event', type, data, created_at })
  return body === undefined || body.equals(Buffer.from(expected))
    ? []
    : [`${id} has come as ${body}, and is ${expected}`]
}

/** One row for each event of each destination, delivered, and no request of which no attempt is noted. */
async function judgeRows(
  engine: FastEngine,
  inboxes: readonly Inbox[],
  wanted: ReadonlyMap<string, Wanted>,
) {
  const arrivals = new Map(inboxes.map(({ destination, arrived }) => [destination, arrived]))
  const seen = new Set<string>()
  const problems: string[] = []
  let attempts = 0
  for await (const row of engine.deliveries.list({ order: 'asc', limit: 1000 })) {
    const { id, destination_id, event_id } = row
    attempts += row.attempts
    if (seen.has(id)) problems.push(`${id} has two rows`)
    seen.add(id)
    if (row.status !== 'succeeded') problems.push(`${id} is ${JSON.stringify(row)}`)
    if (!wanted.get(destination_id)?.has(event_id)) problems.push(`${id} is not to be delivered`)
    const came = arrivals.get(destination_id)?.get(event_id) ?? 0
    if (came > row.attempts) problems.push(`${id} came ${came} times in ${row.attempts} attempts`)
  }
  const count = sumOf(wanted.values(), ({ size }) => size)
  if (seen.size !== count) problems.push(`there are ${seen.size} deliveries instead of ${count}`)
  return { problems, deliveries: seen.size, attempts }
}
