import { expect } from 'vitest'
import { z } from 'zod'
import { define } from './define.ts'
import {
  type AnyHandle,
  type AnyResource,
  type AnyTestEngine,
  type Command,
  expectVerified,
  handleOf,
  openEngine,
  publicLog,
  reopen,
  typesOf,
} from './engine.ts'
import { viewOf } from './errors.ts'
import type { Oracle } from './oracle.ts'
import {
  type Blueprint,
  buildMachine,
  COMMANDS,
  type Context,
  EMITTED,
  RAISED,
} from './random-machines.ts'

/** What is done to the engine and to bare XState alike; a restart only to the engine. */
export type Move =
  | { readonly do: 'send'; readonly command: Command }
  | { readonly do: 'advance'; readonly ms: number }
  | { readonly do: 'restart' }

/** One resource of the engine and the bare machine that it must agree with. */
export interface Lockstep {
  engine: AnyTestEngine
  readonly options: () => Readonly<Record<string, unknown>>
  readonly property: string
  readonly id: string
  readonly oracle: Oracle
  seen: number
}

/** Options of an engine that knows the machine of a blueprint, made anew at each call. */
export function optionsFor(blueprint: Blueprint, database: string) {
  const payload = z.strictObject({ n: z.number().optional() })
  return () => {
    const gens = define({
      type: 'gen',
      prefix: 'gen',
      input: z.strictObject({}),
      commands: Object.fromEntries([...COMMANDS, ...RAISED].map((name) => [name, payload])),
      internal: RAISED,
      events: EMITTED,
      machine: buildMachine(blueprint),
    })
    return { database, durability: 'relaxed', resources: { gens } }
  }
}

/** Opens an engine, runs the body, and closes whatever engine is open after it. */
export async function inLockstep(
  options: Lockstep['options'],
  property: string,
  makeOracle: (id: string, input: unknown) => Oracle,
  makeInput: (engine: AnyTestEngine) => Promise<unknown>,
  moves: readonly Move[],
): Promise<void> {
  const engine = await openEngine(options())
  const input = await makeInput(engine)
  const { id } = (await handleOf(engine, property).create(input)).resource
  const lockstep = { engine, options, property, id, oracle: makeOracle(id, input), seen: 0 }
  try {
    await compare(lockstep, 'create')
    for (const [index, move] of moves.entries()) {
      await take(lockstep, move, `move ${index + 1}: ${JSON.stringify(move)}`)
      if (!lockstep.oracle.isSound()) break
    }
    await expectVerified(lockstep.engine)
  } finally {
    await lockstep.engine.close()
  }
}

async function take(lockstep: Lockstep, move: Move, label: string): Promise<void> {
  if (move.do === 'restart') {
    lockstep.engine = await reopen(lockstep.engine, lockstep.options())
  } else if (move.do === 'advance') {
    await lockstep.engine.clock.advance(move.ms)
    lockstep.oracle.advance(move.ms)
  } else {
    await sendBoth(lockstep, move.command, label)
  }
  if (lockstep.oracle.isSound()) await compare(lockstep, label)
}

async function sendBoth(lockstep: Lockstep, command: Command, label: string): Promise<void> {
  const { oracle, id } = lockstep
  const handle = handleOf(lockstep.engine, lockstep.property)
  const before = await handle.get(id)
  const trace = traceOf(oracle)

  const answer = await handle.trySend(id, command)
  const expected = oracle.send(command)

  const actual = answer.ok ? 'accepted' : viewOf(answer.error).reason
  expect(actual, label).toBe(expected)
  if (!answer.ok) return
  const moved = traceOf(oracle) !== trace
  if (moved) expect(answer.changed, label).toBe(true)
  const version = before.version + (answer.changed ? 1 : 0)
  expect(answer.resource.version, label).toBe(version)
}

function traceOf(oracle: Oracle): string {
  return JSON.stringify([oracle.status(), oracle.context()])
}

async function compare(lockstep: Lockstep, label: string): Promise<void> {
  const { engine, oracle, id } = lockstep
  const handle = handleOf(engine, lockstep.property)
  const resource = await handle.get(id)
  const log = await publicLog(engine, { resource: id })

  expect(resource.status, `${label}: status`).toBe(oracle.status())
  expect(typesOf(log.slice(lockstep.seen)), `${label}: events`).toEqual(oracle.takeEmitted())
  lockstep.seen = log.length
  await compareContext(handle, lockstep, resource, label)
}

async function compareContext(
  handle: AnyHandle,
  { oracle, id, property }: Lockstep,
  resource: AnyResource,
  label: string,
): Promise<void> {
  if (property !== 'gens') return
  const { trace, count, fuel } = oracle.context() as Context
  expect(resource, `${label}: context`).toMatchObject({ trace, count, fuel })
  if (oracle.isDone()) expect(await handle.accepts(id), label).toEqual([])
}
