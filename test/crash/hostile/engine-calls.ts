import fc from 'fast-check'
import { deliveriesOf } from '../../delivery/deliveries.ts'
import type { AnyEvent, AnyOutcome, Command } from '../../support/engine.ts'
import { difference } from './exactness.ts'
import { as, type Call, called, named, type Options, properties } from './resource-calls.ts'
import { fieldsOf, type Hostile, hostile, mutated, text, textual } from './values.ts'
import { handle, type World } from './world.ts'

/** Lists, each with the names of its options. */
const LISTS: Readonly<Record<string, readonly string[]>> = {
  events: ['type', 'resource', 'tenant', 'since', 'until', 'cursor', 'limit', 'order', 'internal'],
  timers: ['resource', 'tenant', 'cursor', 'limit'],
  history: ['cursor', 'limit', 'order'],
  deliveries: ['destination', 'event', 'status', 'tenant', 'cursor', 'limit', 'order'],
  ...Object.fromEntries(
    properties.map((property) => [
      property,
      [
        'status',
        'cursor',
        'limit',
        'order',
        'created_after',
        'created_before',
        'tenant',
        'task_id',
      ],
    ]),
  ),
}

function listing({ engine, first }: World, list: string, filter: unknown): () => unknown {
  const options = as<Options>(filter)
  if (list === 'events') return () => engine.events.list(options)
  if (list === 'timers') return () => engine.timers.list(options)
  if (list === 'deliveries') return () => deliveriesOf(engine).list(options)
  if (list !== 'history') return () => handle(engine, list).list(options)
  return () => handle(engine, 'taskRuns').history(String(first.taskRuns?.id), options)
}

async function checkPage(_: World, answer: unknown): Promise<string | null> {
  const { data } = answer as { readonly data: unknown }
  return Array.isArray(data) ? null : 'there is no page'
}

const listed: fc.Arbitrary<Call> = fc
  .constantFrom(...Object.keys(LISTS))
  .chain((list) => fc.tuple(fc.constant(list), fieldsOf(LISTS[list] ?? [])))
  .map(([list, filter]) =>
    called(`list of ${list}`, filter, {
      prepare: (world) => listing(world, list, filter.make()),
      check: checkPage,
    }),
  )

/** Cursors that were good once, or for another list. */
const continued: fc.Arbitrary<Call> = fc
  .tuple(
    fc.constantFrom(...Object.keys(LISTS)),
    fc.nat(4),
    fc.array(fc.nat(200), { maxLength: 3 }),
    fc.oneof(text, fc.constantFrom('A', '_', '=', '')),
  )
  .map(([list, index, places, by]) =>
    named(`list of ${list} from cursor ${index}, ${JSON.stringify(by)} at ${places}`, {
      prepare: (world) => {
        const cursor = mutated(world.cursors[index] ?? '', places, by)
        return listing(world, list, { cursor })
      },
      check: checkPage,
    }),
  )

/** Parts of a cursor, encoded as cursors are. */
const forged: fc.Arbitrary<Call> = fc
  .tuple(fc.constantFrom(...Object.keys(LISTS)), fc.nat(4), fc.array(fc.oneof(fc.double(), text)))
  .map(([list, index, places]) =>
    named(`list of ${list} from a forged cursor ${fc.stringify(places)}`, {
      prepare: (world) => {
        const [version, identity, name] = parts(world.cursors[index] ?? '')
        const cursor = JSON.stringify([version, identity, name, ...places])
        return listing(world, list, { cursor: Buffer.from(cursor).toString('base64url') })
      },
      check: checkPage,
    }),
  )

function parts(cursor: string): readonly unknown[] {
  return JSON.parse(Buffer.from(cursor, 'base64url').toString())
}

const SUBSCRIPTION = ['type', 'resource', 'tenant', 'internal', 'from', 'signal']
const CONSUMPTION = ['type', 'tenant', 'from', 'tries', 'backoff', 'lease', 'signal']

/** The first step of a subscription that is given up at once. */
const subscribed: fc.Arbitrary<Call> = fieldsOf(SUBSCRIPTION).map((options) =>
  called('subscribe', options, {
    prepare: ({ engine }) => {
      const given = as<Options>(options.make())
      return async () => {
        const events = engine.events.subscribe(given)[Symbol.asyncIterator]()
        const step = events.next()
        await events.return?.()
        await step
      }
    },
  }),
)

const consumed: fc.Arbitrary<Call> = fc
  .tuple(fieldsOf(CONSUMPTION), textual)
  .map(([options, name]) =>
    called(`consume ${name.name}`, options, {
      prepare: ({ engine }) => {
        const given = options.make()
        const signal = AbortSignal.abort()
        const all = typeof given === 'object' ? stopped(given, signal) : given
        return () => engine.consume(as<string>(name.make()), as<Options>(all), () => {})
      },
    }),
  )

/** Options that stop a consumer before it begins, if they let themselves be changed. */
function stopped(options: unknown, signal: AbortSignal): unknown {
  try {
    return { ...(options as object), signal }
  } catch {
    return options
  }
}

const OPTIONS = ['idempotencyKey', 'actor', 'correlationId', 'expectedVersion']

/** Options of a command, and what the log says of them. */
const optional: fc.Arbitrary<Call> = fc
  .tuple(fieldsOf(OPTIONS), fc.boolean())
  .map(([options, creates]) => {
    let given: Options = {}
    let again: () => unknown = () => null
    return called(creates ? 'create' : 'send', options, {
      prepare: ({ engine, first }) => {
        given = as<Options>(options.make())
        const boxes = handle(engine, 'boxes')
        const id = String(first.boxes?.id)
        const put = { type: 'put', n: 1 }
        again = creates ? () => boxes.create({ n: 1 }, given) : () => boxes.send(id, put, given)
        return again
      },
      check: async (_, answer) => {
        const { events, replayed } = answer as AnyOutcome
        const found = replayed ? null : causeDifference(events[0], given)
        if (found !== null || given?.idempotencyKey === undefined) return found
        const { replayed: isReplay, events: same } = (await again()) as AnyOutcome
        return isReplay ? difference(events[0]?.id, same[0]?.id) : 'the key was forgotten'
      },
    })
  })

function causeDifference(event: AnyEvent | undefined, { actor, correlationId }: Options = {}) {
  const { actor: who, correlation_id } = event?.cause ?? {}
  if (actor !== undefined) return difference(actor, who)
  return correlationId === undefined ? null : difference(correlationId, correlation_id)
}

const tenants: fc.Arbitrary<Call> = fc.oneof(hostile, textual).map((tenant) => {
  let given: unknown
  return called('tenant', tenant, {
    prepare: ({ engine }) => {
      given = tenant.make()
      return () => handle(engine.tenant(as<string>(given)), 'boxes').create({ n: 1 })
    },
    check: async (_, answer) => difference(given, (answer as AnyOutcome).events[0]?.tenant),
  })
})

const moments: fc.Arbitrary<Call> = fc.oneof(hostile, textual).map((moment) =>
  called('at', moment, {
    prepare: ({ engine, first }) => {
      const when = as<number>(moment.make())
      return () => handle(engine, 'agents').at(String(first.agents?.id), when)
    },
  }),
)

type Verb = (world: World, value: unknown) => unknown

/** Everything else that takes something. */
const VERBS: Readonly<Record<string, Verb>> = {
  'events.get': ({ engine }, value) => engine.events.get(as<string>(value)),
  'consumers.parked': ({ engine }, value) => engine.consumers.parked(as<string>(value)),
  'consumers.retry': ({ engine }, value) => engine.consumers.retry(as<string>(value), 'evt_1'),
  'consumers.retry of an event': ({ engine }, value) =>
    engine.consumers.retry('c', as<string>(value)),
  'deliveries.get': ({ engine }, value) => deliveriesOf(engine).get(as<string>(value)),
  'deliveries.resend': ({ engine }, value) => deliveriesOf(engine).resend(as<string>(value)),
  'deliveries.explain': ({ engine }, value) => deliveriesOf(engine).explain(value),
  'deliveries.explain an event': ({ engine, first }, event) =>
    deliveriesOf(engine).explain({ event, destination: first.eventDestinations?.id }),
  'deliveries.replay': ({ engine }, value) => deliveriesOf(engine).replay(value),
  'deliveries.replay since': ({ engine, first }, since) =>
    deliveriesOf(engine).replay({ since, destination: first.eventDestinations?.id }),
  'deliveries.verify': ({ engine }, value) => deliveriesOf(engine).verify(as<string>(value)),
  describe: ({ engine }, value) => engine.describe(as<string>(value)),
  migrate: ({ engine }, value) => engine.migrate(as<Options>(value)),
  prune: ({ engine }, value) => engine.prune(as<Options>(value)),
  'prune events': ({ engine }, events) => engine.prune({ events }),
  transaction: ({ engine }, value) => engine.transaction(as<() => void>(value)),
  // A text would name a file.
  backup: ({ engine }, value) => engine.backup(as<string>(typeof value === 'string' ? '' : value)),
  'consume by': ({ engine }, value) =>
    engine.consume('c', { signal: AbortSignal.abort() }, as<() => void>(value)),
  'send in a transaction': ({ engine, first }, value) =>
    engine.transaction((tx) =>
      handle(tx, 'boxes').send(String(first.boxes?.id), as<Command>(value)),
    ),
}

const verbs: fc.Arbitrary<Call> = fc
  .tuple(fc.constantFrom(...Object.keys(VERBS)), fc.oneof(hostile, textual))
  .map(([name, value]: [string, Hostile]) =>
    called(name, value, {
      prepare: (world) => {
        const given = value.make()
        return () => VERBS[name]?.(world, given)
      },
    }),
  )

/** Calls that are about the engine as a whole. */
export const engineCall: fc.Arbitrary<Call> = fc.oneof(
  { weight: 4, arbitrary: listed },
  { weight: 1, arbitrary: continued },
  { weight: 1, arbitrary: forged },
  { weight: 1, arbitrary: subscribed },
  { weight: 1, arbitrary: consumed },
  { weight: 3, arbitrary: optional },
  { weight: 1, arbitrary: tenants },
  { weight: 1, arbitrary: moments },
  { weight: 2, arbitrary: verbs },
)
