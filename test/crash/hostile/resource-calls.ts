import fc from 'fast-check'
import { agentPlatform } from '../../../machines/index.ts'
import type { AnyHandle, AnyOutcome, Command } from '../../support/engine.ts'
import { difference } from './exactness.ts'
import { fieldsOf, type Hostile, hostile, text, textual } from './values.ts'
import { handle, type World } from './world.ts'

/** A call with something hostile in it, and what has to be so where it is taken. */
export interface Call {
  readonly name: string
  /** Makes its arguments, so that only the call itself is timed, and gives the call. */
  prepare(world: World): () => unknown
  /** Says what is wrong with what a call that was not refused gave; null when nothing is. */
  check?(world: World, answer: unknown): Promise<string | null>
}

/** Fields of an input, a command or options. */
export type Options = Readonly<Record<string, unknown>>

/** A value as a parameter of a declared type, as JavaScript callers pass it. */
export function as<T>(value: unknown): T {
  return value as T
}

/** A call that is named for what it is made with. */
export function called(name: string, by: Hostile, rest: Omit<Call, 'name'>): Call {
  return named(`${name} with ${by.name}`, rest)
}

/** A call under a name, by which counterexamples are known. */
export function named(name: string, rest: Omit<Call, 'name'>): Call {
  return Object.assign({ name, ...rest }, { [fc.toStringMethod]: () => name })
}

/** A value that a box is created with, or that is put into it. */
const boxed: fc.Arbitrary<Call> = fc
  .tuple(hostile, fc.constantFrom('create', 'put', 'put all'))
  .map(([value, way]) => {
    let sent: unknown
    return called(`box ${way}`, value, {
      prepare: ({ engine, first }) => {
        const boxes = handle(engine, 'boxes')
        const id = String(first.boxes?.id)
        sent = value.make()
        if (way === 'create') return () => boxes.create({ held: sent })
        const command = way === 'put' ? { type: 'put', held: sent } : withType(sent)
        return () => boxes.send(id, as<Command>(command))
      },
      check: (world, answer) => checkBox(world, answer as AnyOutcome, way, sent),
    })
  })

/** A whole command made of a value: the type is added where there is room for it. */
function withType(sent: unknown): unknown {
  if (typeof sent !== 'object' || sent === null) return sent
  try {
    return Object.defineProperty(sent, 'type', { value: 'put', enumerable: true })
  } catch {
    return sent
  }
}

async function checkBox(world: World, outcome: AnyOutcome, way: string, sent: unknown) {
  const { engine, taken } = world
  const { resource, events } = outcome
  const boxes = handle(engine, 'boxes')
  const expected = way === 'put all' ? withoutType(sent) : { held: sent }
  const [event] = events
  const seq = Number(event?.seq)
  const places: Readonly<Record<string, unknown>> = {
    outcome: resource.held,
    'its event': event?.data.held,
    get: (await boxes.get(resource.id)).held,
    at: (await boxes.at(resource.id, seq)).held,
    'events.get': (await engine.events.get(String(event?.id))).data.held,
    'events.list': (await engine.events.list({ resource: resource.id, limit: 1 })).data[0]?.data
      .held,
    history: (await boxes.history(resource.id, { order: 'desc', limit: 1 })).data[0]?.data.held,
  }
  taken.set(`${resource.id} ${seq}`, { sent: expected, seq })
  return firstDifference(places, expected)
}

function withoutType(sent: unknown): unknown {
  const { type, ...rest } = sent as Record<string, unknown>
  return rest
}

function firstDifference(places: Readonly<Record<string, unknown>>, sent: unknown): string | null {
  for (const [place, read] of Object.entries(places)) {
    const found = difference(sent, read)
    if (found !== null) return `${place}: ${found}`
  }
  return null
}

/** Valid inputs of the eight, into which something hostile is put. */
const INPUTS: Readonly<Record<string, (world: World) => Options>> = {
  agents: () => ({ name: 'A', description: null }),
  sources: () => ({ name: null, type: 'website', website: { url: 'https://a.example' } }),
  credentials: ({ first }) => ({
    ...{ source_id: first.sources?.id, auth_method: 'none', external_id: null },
  }),
  sessions: () => ({}),
  tasks: ({ first }) => ({
    ...{ name: 'T', agent_id: first.agents?.id, prompt: null, input_schema: null, storage: null },
    settings: { timeout_seconds: 60 },
  }),
  taskRuns: ({ first }) => ({
    ...{ task_id: first.tasks?.id, source_id: first.sources?.id, input: null },
    session_id: first.taskRuns?.session_id,
  }),
  storageItems: ({ first }) => ({
    ...{ task_run_id: first.taskRuns?.id, file_name: 'a', file_type: 'a/b', file_size: 1 },
    ...{ url: null, metadata: null },
  }),
  eventDestinations: () => ({
    ...{ name: 'E', webhook: { url: 'https://a.example', custom_headers: {} }, events: ['*'] },
    delivery: null,
  }),
}

/** The fields of an input that a resource shows as they were given. */
const ECHOED = [
  'name',
  'description',
  'external_id',
  'prompt',
  'input_schema',
  'output_schema',
].concat(['input', 'output', 'metadata', 'file_name', 'file_size', 'url', 'errors', 'error'])

async function checkEcho(world: World, answer: unknown, property: string, given: Options) {
  const { resource } = answer as AnyOutcome
  const read = await handle(world.engine, property).get(resource.id)
  for (const field of ECHOED) {
    // What was given may be nothing at all, and what it inherits was not sent.
    const sent = Object.getOwnPropertyDescriptor(given ?? {}, field)?.value
    if (sent === undefined || !(field in read)) continue
    const found = firstDifference({ outcome: resource[field], get: read[field] }, sent)
    if (found !== null) return `${field} of ${property}: ${found}`
  }
  return null
}

const created: fc.Arbitrary<Call> = fc
  .constantFrom(...Object.keys(INPUTS))
  .chain((property) => fc.tuple(fc.constant(property), fc.nat(), hostile, text))
  .map(([property, place, value, key]) => {
    let given: Options = {}
    return called(`create ${property} (${place}, ${JSON.stringify(key)})`, value, {
      prepare: (world) => {
        const input = INPUTS[property]?.(world) ?? {}
        const names = [...Object.keys(input), key]
        given = { ...input, [names[place % names.length] ?? key]: value.make() }
        return () => handle(world.engine, property).create(given)
      },
      check: (world, answer) => checkEcho(world, answer, property, given),
    })
  })

/** The commands of the eight, each with the names of its fields. */
const COMMANDS: readonly (readonly [string, string, readonly string[]])[] = [
  ['agents', 'update', ['name', 'description']],
  ['sources', 'update', ['name', 'website']],
  ['credentials', 'update', ['external_id', 'auth_credentials']],
  ['credentials', 'reject', ['reason']],
  ['sessions', 'fail', ['error']],
  ['tasks', 'update', ['name', 'prompt', 'input_schema', 'output_schema', 'storage', 'settings']],
  ['taskRuns', 'complete', ['output', 'result']],
  ['taskRuns', 'request_review', ['output', 'reason']],
  ['taskRuns', 'require_interaction', ['interaction']],
  ['taskRuns', 'submit_interaction', ['input']],
  ['taskRuns', 'fail', ['errors']],
  ['taskRuns', 'cancel', ['reason']],
  ['eventDestinations', 'update', ['name', 'webhook', 'events', 'delivery']],
  ['eventDestinations', 'deactivate', ['reason', 'message']],
  ['eventDestinations', 'reactivate', ['from']],
]

const METHODS = ['send', 'trySend', 'explain'] as const

const sent: fc.Arbitrary<Call> = fc
  .constantFrom(...COMMANDS)
  .chain(([property, type, fields]) =>
    fc.tuple(fc.constant([property, type] as const), fieldsOf(fields), fc.constantFrom(...METHODS)),
  )
  .map(([[property, type], fields, method]) => {
    let given: Options = {}
    return called(`${method} ${property} ${type}`, fields, {
      prepare: ({ engine, first }) => {
        const payload = fields.make()
        given = payload as Options
        const command = isSpread(payload) ? withCommand(type, payload) : payload
        const id = String(first[property]?.id)
        return () => handle(engine, property)[method](id, as<Command>(command))
      },
      check: async (world, answer) =>
        method === 'send' ? checkEcho(world, answer, property, given) : null,
    })
  })

/** Not a list: of a million, it would become as many keys, and V8 takes longer than a call may to name those. */
function isSpread(payload: unknown): boolean {
  return typeof payload === 'object' && !Array.isArray(payload)
}

function withCommand(type: string, payload: unknown): unknown {
  try {
    return { type, ...(payload as object) }
  } catch {
    return payload
  }
}

const READS = ['get', 'find', 'accepts', 'reveal', 'history', 'send', 'explain', 'at'] as const

/** The resources, by their properties on the engine. */
export const properties = [...Object.keys(agentPlatform()), 'boxes']

/** Ids that nothing has. */
const identified: fc.Arbitrary<Call> = fc
  .tuple(fc.constantFrom(...properties), fc.constantFrom(...READS), fc.oneof(hostile, textual))
  .map(([property, method, id]) =>
    called(`${method} of ${property}`, id, {
      prepare: ({ engine }) => {
        const value = as<string>(id.make())
        const handles: AnyHandle = handle(engine, property)
        if (method === 'send' || method === 'explain') {
          return () => handles[method](value, { type: 'delete' })
        }
        return method === 'at' ? () => handles.at(value, 1) : () => handles[method](value)
      },
      check: async (_, answer) => (method === 'find' && answer === undefined ? null : 'was found'),
    }),
  )

/** Calls that are about one resource. */
export const resourceCall: fc.Arbitrary<Call> = fc.oneof(
  { weight: 4, arbitrary: boxed },
  { weight: 3, arbitrary: created },
  { weight: 3, arbitrary: sent },
  { weight: 1, arbitrary: identified },
)
