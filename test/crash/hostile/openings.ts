import fc from 'fast-check'
import { type AgentPlatform, agentPlatform } from '../../../machines/index.ts'
import { type DestinationType, defineDestinationType, isPawlError } from '../../../src/index.ts'
import { createTestEngine, type TestEngineOptions } from '../../../src/testing.ts'
import { as } from './resource-calls.ts'
import { fieldsOf, type Hostile, hostile, textual } from './values.ts'

type Options = TestEngineOptions<AgentPlatform>

const OPTIONS = [
  'database',
  'resources',
  'encryptionKeys',
  'durability',
  'busyTimeout',
  'limits',
].concat(['onError', 'now', 'seed', 'delivery', 'destinationTypes'])

const LIMITS = ['bytes', 'depth']

const DELIVERY = [
  ...['allowPrivate', 'retries', 'timeout', 'jitter', 'verification', 'concurrency', 'order'],
  ...['preset', 'lookup'],
]

const TYPE = ['type', 'config', 'secrets', 'deliver', 'verify', 'close']

const TIMEOUTS = ['session_idle', 'session_provisioning', 'task_run_timeout', 'storage_retention']

type Opening = readonly [string, Hostile, (value: unknown) => Promise<unknown>]

function open(options: unknown): Promise<{ close(): Promise<void> }> {
  return createTestEngine(as<Options>(options))
}

/** Options without the texts that would name a file. */
function inMemory(options: unknown): unknown {
  if (typeof options !== 'object' || options === null) return options
  const { database } = Object.getOwnPropertyDescriptors(options) as Record<
    string,
    PropertyDescriptor
  >
  return typeof database?.value === 'string' ? { ...options, database: ':memory:' } : options
}

async function advance(duration: unknown): Promise<void> {
  const engine = await createTestEngine()
  try {
    await engine.clock.advance(as<number>(duration))
  } finally {
    await engine.close()
  }
}

const opening: fc.Arbitrary<Opening> = fc.oneof(
  fieldsOf(OPTIONS).map(
    (value): Opening => [
      'an engine',
      value,
      async (options) => (await open(readable(options))).close(),
    ],
  ),
  fieldsOf(LIMITS).map(
    (value): Opening => ['limits', value, async (limits) => (await open({ limits })).close()],
  ),
  fieldsOf(DELIVERY).map(
    (value): Opening => ['delivery', value, async (delivery) => (await open({ delivery })).close()],
  ),
  fieldsOf(TYPE).map(
    (value): Opening => [
      'a type of destinations',
      value,
      async (type) => (await open({ destinationTypes: [type] })).close(),
    ],
  ),
  fieldsOf(TYPE).map(
    (value): Opening => [
      'a type of destinations that is defined',
      value,
      async (type) => defineDestinationType(as<DestinationType>(type)),
    ],
  ),
  fieldsOf(TIMEOUTS).map(
    (value): Opening => [
      'timeouts',
      value,
      async (timeouts) => agentPlatform({ timeouts: as<object>(timeouts) }),
    ],
  ),
  fieldsOf(['timeouts']).map(
    (value): Opening => [
      'a platform',
      value,
      async (options) => agentPlatform(as<object>(options)),
    ],
  ),
  fc.oneof(hostile, textual).map((value): Opening => ['a clock', value, advance]),
)

function readable(options: unknown): unknown {
  try {
    return inMemory(options)
  } catch {
    return options
  }
}

/** Opens engines with hostile options; throws at the first that fails without a type. Gives how many opened. */
export async function tryOpenings(seed: number, rounds: number): Promise<number> {
  let opened = 0
  const property = fc.asyncProperty(opening, async ([what, value, act]) => {
    try {
      await act(value.make())
      opened += 1
    } catch (error) {
      if (isPawlError(error)) return
      throw new Error(`${what} with ${value.name} fails with an error of no type`, { cause: error })
    }
  })
  await fc.assert(property, { seed, numRuns: rounds })
  return opened
}
