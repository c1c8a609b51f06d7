import { join } from 'node:path'
import fc from 'fast-check'
import { describe, test } from 'vitest'
import { agentPlatform } from '../../machines/index.ts'
import type { AnyTestEngine, Command } from '../support/engine.ts'
import { playGame } from '../support/game.ts'
import { moveArbitrary } from '../support/game-moves.ts'
import { inLockstep, type Move, optionsFor } from '../support/lockstep.ts'
import { createOracle } from '../support/oracle.ts'
import { blueprintArbitrary, buildMachine, COMMANDS } from '../support/random-machines.ts'
import { makeTemporaryDirectory, removeDirectory } from '../support/temp.ts'
import { LOGIN, makeAgent, makeSource } from '../support/world.ts'

/** How often each property is tried; set PAWL_NUM_RUNS for a longer night. */
const numRuns = Number(process.env.PAWL_NUM_RUNS ?? 60)
const timeout = 60_000 + numRuns * 1000

/** Runs a body with the path of a fresh database file. */
async function withFile(body: (file: string) => Promise<void>): Promise<void> {
  const directory = makeTemporaryDirectory()
  try {
    await body(join(directory, 'pawl.db'))
  } finally {
    removeDirectory(directory)
  }
}

const advances: fc.Arbitrary<Move> = fc.record({
  do: fc.constant('advance' as const),
  ms: fc.constantFrom(0, 0, 1, 5, 10, 25, 60),
})

const restarts: fc.Arbitrary<Move> = fc.constant({ do: 'restart' })

function movesOf(commands: fc.Arbitrary<Command>, waits: fc.Arbitrary<Move>) {
  const sends: fc.Arbitrary<Move> = commands.map((command) => ({ do: 'send', command }))
  const move = fc.oneof(
    { weight: 6, arbitrary: sends },
    { weight: 3, arbitrary: waits },
    { weight: 1, arbitrary: restarts },
  )
  return fc.array(move, { minLength: 1, maxLength: 16, size: 'max' })
}

const anyCommand = fc.record({ type: fc.constantFrom(...COMMANDS), n: fc.nat(3) })

describe('bare XState and the engine agree', () => {
  test('on any machine, over restarts', { timeout }, async () => {
    const property = fc.asyncProperty(
      blueprintArbitrary,
      movesOf(anyCommand, advances),
      (blueprint, moves) =>
        withFile((file) =>
          inLockstep(
            optionsFor(blueprint, file),
            'gens',
            (id) => createOracle(buildMachine(blueprint), id, {}),
            async () => ({}),
            moves,
          ),
        ),
    )
    await fc.assert(property, { numRuns: numRuns * 3 })
  })

  const MINUTE = 60_000
  const waits: fc.Arbitrary<Move> = fc.record({
    do: fc.constant('advance' as const),
    ms: fc.constantFrom(0, MINUTE, 5 * MINUTE - 1, 5 * MINUTE, 10 * MINUTE),
  })

  const error = { code: 'crashed', message: 'it died' }
  const login = { username: 'ada', password: 'a password' }
  const website = { type: 'website', website: { url: 'https://s.example' } }
  const webhook = { url: 'https://d.example' }
  const built: readonly [string, MakeInput, readonly Command[]][] = [
    ['agents', async () => ({ name: 'A' }), [{ type: 'update', name: 'B' }, { type: 'delete' }]],
    ['sources', async () => website, [{ type: 'update', name: 'B' }, { type: 'delete' }]],
    ['sessions', async () => ({}), [...named('start', 'end', 'complete'), { type: 'fail', error }]],
    [
      'tasks',
      async (engine) => ({ name: 'T', agent_id: (await makeAgent(engine)).id }),
      [...named('promote', 'promote', 'demote', 'reset', 'delete'), { type: 'update', name: 'U' }],
    ],
    [
      'credentials',
      async (engine) => ({ source_id: (await makeSource(engine)).id, ...LOGIN }),
      [
        ...named('verify', 'verify', 'reject', 'delete'),
        { type: 'update', auth_credentials: login },
        { type: 'update', external_id: 'user-1' },
      ],
    ],
    [
      'eventDestinations',
      // With its type: bare XState knows no defaults of a schema.
      async () => ({ name: 'D', type: 'webhook', webhook, events: ['agent.*'] }),
      [
        ...named('activate', 'deactivate', 'reactivate', 'rotate_secret', 'delete'),
        { type: 'update', name: 'E' },
        { type: 'update', webhook: { url: 'https://e.example' } },
        { type: 'update', webhook },
      ],
    ],
  ]

  test.each(built)('on %s', { timeout }, async (name, makeInput, commands) => {
    const moves = movesOf(fc.constantFrom(...commands), waits)
    const property = fc.asyncProperty(moves, (sequence) =>
      withFile((file) =>
        inLockstep(
          () => ({ database: file, durability: 'relaxed' }),
          name,
          (id, input) => createOracle(machineOf(name), id, input),
          makeInput,
          sequence,
        ),
      ),
    )
    await fc.assert(property, { numRuns: Math.ceil(numRuns / 2) })
  })
})

type MakeInput = (engine: AnyTestEngine) => Promise<object>

function named(...types: string[]): Command[] {
  return types.map((type) => ({ type }))
}

function machineOf(property: string): Parameters<typeof createOracle>[0] {
  const definitions = agentPlatform() as unknown as Record<string, { machine: unknown }>
  return definitions[property]?.machine as Parameters<typeof createOracle>[0]
}

describe('a model written from the tables and the engine agree', () => {
  test('on sessions, runs and all they refer to, over restarts', { timeout }, async () => {
    const moves = fc.array(moveArbitrary, { minLength: 20, maxLength: 60, size: 'max' })
    const property = fc.asyncProperty(moves, (sequence) =>
      withFile((file) => playGame(file, sequence)),
    )
    await fc.assert(property, { numRuns: numRuns * 2 })
  })
})
