/** Does delivery keep its promises whatever happens in whatever order? @module */

import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  type AnyResource,
  type AnyTestEngine,
  collect,
  handleOf,
  openEngine,
  publicLog,
  reopen,
} from '../support/engine.ts'
import { type Answer, createReceiver, type Received } from '../support/receivers.ts'
import { makeTemporaryDirectory, removeDirectory } from '../support/temp.ts'
import {
  type AnyDeliveryWithAttempts,
  activate,
  command,
  deliveriesOf,
  destinationNow,
  emit,
  LOCAL,
  listed,
  rename,
} from './deliveries.ts'

/** How often the property is tried; set PAWL_NUM_RUNS for a longer night. */
const numRuns = Number(process.env.PAWL_NUM_RUNS ?? 25)

const WAITS = [5000, 60_000]
const DELIVERY = { ...LOCAL, retries: WAITS }

type Mode = 'accepts' | 'fails' | 'resets' | 'flickers'

type Move =
  | { readonly do: 'emit'; readonly agent: number }
  | { readonly do: 'behave'; readonly agent: number; readonly mode: Mode }
  | { readonly do: 'deactivate' | 'reactivate' | 'restart' }
  | { readonly do: 'advance'; readonly ms: number }

const agent = fc.nat(3)
const always = <T>(value: T) => fc.constant(value)

const moves: fc.Arbitrary<Move[]> = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: always('emit' as const), agent }) },
    {
      weight: 4,
      arbitrary: fc.record({
        do: always('behave' as const),
        agent,
        mode: fc.constantFrom<Mode>('accepts', 'fails', 'resets', 'flickers'),
      }),
    },
    {
      weight: 6,
      arbitrary: fc.record({
        do: always('advance' as const),
        ms: fc.constantFrom(0, 1, 4999, 5000, 30_000, 60_000, 3_600_000),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: always('deactivate' as const) }) },
    { weight: 2, arbitrary: fc.record({ do: always('reactivate' as const) }) },
    { weight: 1, arbitrary: fc.record({ do: always('restart' as const) }) },
  ),
  { minLength: 15, maxLength: 60, size: 'max' },
)

/** A request that carried an event, and what was answered. */
interface Seen {
  readonly id: string
  readonly at: number
  readonly isAccepted: boolean
  readonly status: number | null
}

/** Receivers and the moves that can be made with them. */
async function createGame(database: string) {
  const modes = new Map<number, Mode>()
  const agents = new Map<number, string>()
  const seen: Seen[] = []
  let version = 0
  const options = { database, delivery: DELIVERY }
  let engine: AnyTestEngine = await openEngine(options)

  function answerOf(number: number): Answer {
    const mode = modes.get(number) ?? 'accepts'
    const isBad = mode === 'fails' || (mode === 'flickers' && seen.length % 2 === 0)
    return mode === 'resets' ? 'reset' : { status: isBad ? 500 : 200 }
  }

  function answer({ body, headers }: Received): Answer {
    const { data } = JSON.parse(body)
    const given = answerOf(Number(String(data.name).split(' ')[0]))
    const status = typeof given === 'string' ? null : (given.status ?? 200)
    const at = engine.clock.now().getTime()
    seen.push({ id: String(headers['webhook-id']), at, isAccepted: status === 200, status })
    return given
  }

  const receiver = await createReceiver({ answer })
  const healthy = await createReceiver()
  const events = ['agent.*']
  const destination = await activate(engine, receiver.url, { events })
  await activate(engine, healthy.url, { events })

  async function write(number: number): Promise<void> {
    const name = `${number} ${version++}`
    const id = agents.get(number)
    if (id) await rename(engine, id, name)
    else agents.set(number, String((await emit(engine, name)).data.id))
  }

  /** Checks that the healthy one has had all there is by now. */
  async function checkHealthy(): Promise<void> {
    const log = await publicLog(engine, { type: 'agent.*' })
    expect(new Set(healthy.events.map(({ id }) => id))).toEqual(new Set(log.map(({ id }) => id)))
  }

  async function advance(ms: number): Promise<void> {
    await engine.clock.advance(ms)
    await checkHealthy()
  }

  async function play(move: Move): Promise<void> {
    if (move.do === 'emit') await write(move.agent)
    else if (move.do === 'behave') modes.set(move.agent, move.mode)
    else if (move.do === 'advance') await advance(move.ms)
    else if (move.do === 'restart') engine = await reopen(engine, options)
    else await send(move.do)
  }

  async function send(type: 'deactivate' | 'reactivate'): Promise<void> {
    const { status } = await destinationNow(engine, destination)
    if (type === 'reactivate' && status !== 'inactive') return
    await command(engine, destination, type)
  }

  /** Lets everything come to its end. */
  async function finish(): Promise<void> {
    modes.clear()
    await send('reactivate')
    await advance(3_600_000)
    await send('reactivate')
    await advance(3_600_000)
  }

  return {
    ...{ play, finish, seen, destination, receiver },
    engine: () => engine,
    close: async () => {
      await engine.close()
      await receiver.close()
      await healthy.close()
    },
  }
}

/** What came of everything. */
interface Outcome {
  readonly seen: readonly Seen[]
  readonly deliveries: readonly AnyDeliveryWithAttempts[]
  /** By the id of the event. */
  readonly resources: ReadonlyMap<string, string>
  /** From when to when the destination was active. */
  readonly periods: readonly Period[]
}

interface Period {
  readonly from: number
  readonly to: number
  readonly reason: unknown
}

async function outcomeOf(
  engine: AnyTestEngine,
  destination: AnyResource,
  seen: readonly Seen[],
): Promise<Outcome> {
  const log = await publicLog(engine, { type: 'agent.*' })
  const found = await listed(engine, { destination: destination.id })
  expect(found.map(({ event_id }) => event_id)).toEqual(log.map(({ id }) => id))
  const deliveries = await Promise.all(found.map(({ id }) => deliveriesOf(engine).get(id)))
  const resources = new Map(log.map(({ id, resource_id }) => [id, resource_id]))
  return { seen, deliveries, resources, periods: await periodsOf(engine, destination) }
}

async function periodsOf(engine: AnyTestEngine, { id }: AnyResource): Promise<Period[]> {
  const history = await collect(handleOf(engine, 'eventDestinations').history(id) as never)
  const periods: Period[] = []
  let from: number | undefined
  for (const { type, created_at, data } of history as never[] as History[]) {
    const at = Date.parse(created_at)
    if (type === 'event_destination.activated') from = at
    if (type !== 'event_destination.deactivated' || from === undefined) continue
    periods.push({ from, to: at, reason: data.deactivation?.reason })
    from = undefined
  }
  if (from !== undefined) periods.push({ from, to: Number.POSITIVE_INFINITY, reason: null })
  return periods
}

interface History {
  readonly type: string
  readonly created_at: string
  readonly data: { readonly deactivation?: { readonly reason: string } | null }
}

const attemptsOf = ({ seen }: Outcome, { event_id }: AnyDeliveryWithAttempts) =>
  seen.filter(({ id }) => id === event_id)

/** Each delivery has ended, by an answer that fits, and each attempt is in its log. */
function checkNothingLost(outcome: Outcome): void {
  for (const delivery of outcome.deliveries) {
    const requests = attemptsOf(outcome, delivery)
    const { attempts, attempt_log, status } = delivery
    expect(attempt_log.map(({ number }) => number)).toEqual(requests.map((_, n) => n + 1))
    expect(attempt_log.map(({ status_code }) => status_code)).toEqual(
      requests.map((request) => request.status),
    )
    expect(attempt_log.map(({ at }) => Date.parse(at))).toEqual(requests.map(({ at }) => at))
    expect(attempts).toBe(requests.length)
    const isAccepted = requests.map((request) => request.isAccepted)
    const fails = Array.from({ length: attempts - 1 }, () => false)
    if (status === 'succeeded') expect(isAccepted).toEqual([...fails, true])
    else {
      expect(status).toBe('exhausted')
      expect(isAccepted).toEqual([false, false, false])
    }
  }
}

/** An event is not tried before all those of its resource before it have ended. */
function checkOrder({ seen, deliveries, resources }: Outcome): void {
  const places = new Map(deliveries.map(({ event_id }, n) => [event_id, n]))
  const reached = new Map<string, number>()
  for (const { id } of seen) {
    const place = places.get(id) ?? expect.fail(`${id} was not to be delivered`)
    const resource = resources.get(id) ?? ''
    expect(place).toBeGreaterThanOrEqual(reached.get(resource) ?? 0)
    reached.set(resource, place)
  }
}

/** Nothing is sent while the destination is inactive. */
function checkPeriods({ seen, periods }: Outcome): void {
  for (const { at } of seen)
    expect(periods.some(({ from, to }) => from <= at && at <= to)).toBe(true)
}

/** An attempt follows another one after its wait, or when the destination is active again. */
function checkWaits(outcome: Outcome): void {
  for (const delivery of outcome.deliveries) {
    const times = attemptsOf(outcome, delivery).map(({ at }) => at)
    for (const [n, at] of times.slice(1).entries()) {
      const before = times[n] ?? 0
      const due = before + (WAITS[n] ?? 0)
      const isStopped = outcome.periods.some(({ to }) => before <= to && to <= due)
      const resumed = outcome.periods.map(({ from }) => from).filter((from) => from >= before)
      expect(isStopped ? [due, ...resumed] : [due]).toContain(at)
    }
  }
}

/** The destination is deactivated by exactly those that were exhausted while it accepted nothing else. */
function checkDeactivations(outcome: Outcome): void {
  const { seen, deliveries, periods } = outcome
  const ends = new Map<number, boolean[]>()
  for (const delivery of deliveries.filter(({ status }) => status === 'exhausted')) {
    const times = attemptsOf(outcome, delivery).map(({ at }) => at)
    const [from = 0, to = 0] = [times[0], times.at(-1)]
    const others = seen.filter(({ isAccepted, at }) => isAccepted && from <= at && at <= to)
    const isClear = others.every(({ at }) => from < at && at < to)
    // What comes within the same millisecond may count or not.
    if (others.length === 0 || isClear) ends.set(to, [...(ends.get(to) ?? []), others.length === 0])
    else ends.set(to, [...(ends.get(to) ?? []), true, false])
  }
  const byFailures = periods.filter(({ reason }) => reason === 'failures').map(({ to }) => to)
  for (const at of byFailures) expect(ends.get(at)).toContain(true)
  for (const [at, verdicts] of ends)
    if (verdicts.every((isDue) => isDue)) expect(periods.map(({ to }) => to)).toContain(at)
}

async function check(file: string, all: readonly Move[]): Promise<void> {
  const game = await createGame(file)
  try {
    for (const move of all) await game.play(move)
    await game.finish()
    const outcome = await outcomeOf(game.engine(), game.destination, game.seen)
    checkNothingLost(outcome)
    checkOrder(outcome)
    checkPeriods(outcome)
    checkWaits(outcome)
    checkDeactivations(outcome)
    expect(game.receiver.mostInFlightPerResource).toBeLessThanOrEqual(1)
    expect((await game.engine().verify()).differences).toEqual([])
  } finally {
    await game.close()
  }
}

test('deliveries keep their promises', { timeout: 60_000 + numRuns * 1000 }, async () => {
  const property = fc.asyncProperty(moves, async (all) => {
    const directory = makeTemporaryDirectory()
    try {
      await check(join(directory, 'pawl.db'), all)
    } finally {
      removeDirectory(directory)
    }
  })

  await fc.assert(property, { numRuns })
})
