/** How is an engine tested? `pawl/testing`: the engine itself, on a clock that the test moves. @module */

import type { AgentPlatform } from '../machines/index.ts'
import { type AlarmClock, type Clock, isDate, systemClock } from './clock.ts'
import type { Context } from './context.ts'
import type { Delivery } from './delivery/create.ts'
import { type Duration, toMilliseconds } from './duration.ts'
import { type EngineOptions, openEngine } from './engine.ts'
import { invalidInput, shown } from './errors.ts'
import { taken } from './given.ts'
import type { Definitions, Engine } from './handles.ts'
import { fireDue } from './runtime/timers.ts'

/** Options of `createTestEngine`: those of `createEngine`, none required. */
export interface TestEngineOptions<D extends Definitions<D> = AgentPlatform>
  extends Partial<EngineOptions<D>> {
  /** What time it is at first. @defaultValue 2026-01-01T00:00:00.000Z */
  readonly now?: Date | string | number
  /** Makes ids and secrets the same in every run; engines that share a file at the same time need one each. @defaultValue they are random */
  readonly seed?: number
}

/** A clock that stands still until it is moved. */
export interface TestClock extends Clock {
  /**
   * Moves the clock on. Timers that fall due on the way fire in order, each at its own due time, and so are
   * deliveries made; resolves when everything has settled.
   */
  advance(duration: Duration): Promise<void>
}

const START = '2026-01-01T00:00:00.000Z'

/**
 * Opens an engine in memory (or on a file) with a clock that the test moves, through the code of
 * production. It brings an encryption key when none is given.
 *
 * @example
 * const engine = await createTestEngine()
 * const { resource: session } = await engine.sessions.create()
 * await engine.clock.advance('5m')
 * (await engine.sessions.get(session.id)).status // 'failed': it has never been started
 */
export async function createTestEngine<const D extends Definitions<D> = AgentPlatform>(
  given: TestEngineOptions<D> = {},
): Promise<Engine<D> & { readonly clock: TestClock }> {
  const { now = START, seed, ...options } = taken(given) ?? refuseNull()
  if (seed !== undefined && !Number.isFinite(seed)) refuseSeed(seed)
  const hands: Hands = { time: toTime(now), alarms: new Set() }
  const clock = { now: () => new Date(hands.time), alarm: alarmOf(hands) }
  const { engine, context, delivery } = await openEngine<D>(
    { database: ':memory:', encryptionKeys: [TEST_KEY], ...options },
    { clock, seed, batchMs: Number.POSITIVE_INFINITY },
  )
  const advance = (duration: Duration): Promise<void> =>
    advanceTo({ context, delivery }, hands, hands.time + toMilliseconds(duration))
  return { ...engine, clock: { now: clock.now, advance } }
}

// Known to everybody: 32 bytes for secrets that are none.
const TEST_KEY = Buffer.alloc(32, 'pawl-test-key').toString('base64')

function refuseNull(): never {
  const message = 'has to be an object'
  throw invalidInput('what was given', [{ path: [], code: 'invalid_type', message }])
}

function refuseSeed(seed: unknown): never {
  const issue = { path: ['seed'], code: 'invalid_seed', message: `${shown(seed)} is no number` }
  throw invalidInput('the option seed', [issue])
}

function toTime(now: unknown): number {
  const isTime = typeof now === 'string' || typeof now === 'number' || isDate(now)
  const time = isTime ? new Date(now).getTime() : Number.NaN
  if (!Number.isNaN(time)) return time
  const message = `${shown(now)} is no time; use a Date, milliseconds or a text in ISO 8601`
  throw invalidInput('the option now', [{ path: ['now'], code: 'invalid_time', message }])
}

interface Alarm {
  readonly time: number
  readonly ring: () => void
}

interface Hands {
  time: number
  readonly alarms: Set<Alarm>
}

/**
 * Alarms ring when the clock is moved past them and, so that a test which does not move it goes on
 * as well, after as long a time on the machine's own clock.
 */
function alarmOf(hands: Hands): AlarmClock['alarm'] {
  return (time, ring) => {
    let callOff = () => {}
    const once = (): void => {
      callOff()
      ring()
    }
    const alarm = { time, ring: once }
    const wait = systemClock.now().getTime() + time - hands.time
    const callOffReal = systemClock.alarm(wait, once)
    callOff = () => {
      hands.alarms.delete(alarm)
      callOffReal()
    }
    hands.alarms.add(alarm)
    return callOff
  }
}

function moveTo(hands: Hands, time: number): void {
  hands.time = Math.max(hands.time, time)
  for (const alarm of [...hands.alarms]) if (alarm.time <= hands.time) alarm.ring()
}

interface Advanced {
  readonly context: Context
  readonly delivery: Delivery
}

async function advanceTo(
  { context, delivery: { worker } }: Advanced,
  hands: Hands,
  target: number,
): Promise<void> {
  const settle = async (): Promise<void> => {
    await fireDue(context)
    await worker.drain()
  }
  await settle()
  for (;;) {
    const next = await nextAt(context, hands.time)
    if (next === undefined || next > target) break
    moveTo(hands, next)
    await settle()
  }
  moveTo(hands, target)
}

/** When the next timer or delivery is due. */
async function nextAt({ store }: Context, now: number): Promise<number | undefined> {
  const times = [await store.nextTimerAt(), await store.nextDeliveryAt(now)]
  const known = times.filter((time) => time !== undefined)
  return known.length === 0 ? undefined : Math.min(...known)
}
