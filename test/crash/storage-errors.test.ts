import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeTemporaryDirectory, removeDirectory } from '../support/temp.ts'
import { expectSettled } from './after-storage-errors.ts'
import { type Bundled, bundle } from './bundled.ts'
import { type FailingDisk, type Said, saidIn } from './failing-disk.ts'
import { countCalls, type Injection, suffer } from './injections.ts'
import { numberFrom, randomFrom, report, sizeFor } from './settings.ts'
import { canTrace } from './strace.ts'

// How often every pair of a system call and an error is tried; in the deep form also every call alone.
const ROUNDS = numberFrom('PAWL_STORAGE_ROUNDS', sizeFor({ quick: 0, ci: 1, deep: 10 }))
const EVERY = numberFrom('PAWL_EVERY_CALL', sizeFor({ quick: 0, ci: 0, deep: 1 }))
const SEED = numberFrom('PAWL_SEED', Date.now() % 1_000_000)

const CALLS = ['fsync', 'pwrite64', 'pread64', 'ftruncate'] as const
const ERRORS = ['EIO', 'ENOSPC', 'EDQUOT', 'ENOMEM', 'EINTR'] as const

/** Rarely called, so that each of its calls is tried alone, beside those above. */
const RARE = ['openat', 'unlink', 'newfstatat', 'mmap'] as const

/** Everybody's run. */
const FEW: readonly (readonly [string, string])[] = [
  ['fsync', 'EIO'],
  ['pwrite64', 'ENOSPC'],
]

let bundled: Bundled
beforeAll(() => {
  bundled = bundle(new URL('./failing-disk-process.ts', import.meta.url))
})
afterAll(() => bundled.remove())

type Way = Pick<FailingDisk, 'cachePages'>

/** An engine with a connection of its own, and one that finds hardly anything in its memory. */
const WAYS: readonly Way[] = [{ cachePages: null }, { cachePages: 0 }]

interface Trial extends Injection, Way {}

type Failed = Extract<Said, { is: 'failed' }>

/** The codes that callers may see; whoever sees another one has found a defect. */
function expectedCodes(trial: Trial, { what, cause }: Failed): readonly string[] {
  const { call, error, cachePages } = trial
  // SQLite makes these calls again.
  if (error === 'EINTR' && call !== 'fsync') return []
  if (call === 'pwrite64' && error === 'ENOSPC') return ['storage_full']
  // SQLite does not tell why its shared memory cannot grow.
  if (call === 'pwrite64' && cause === 'SQLITE_IOERR_SHMSIZE') return ['storage_full']
  // Where nothing is written before the commit, it is the commit that fails.
  if (call === 'fsync' && what === 'call' && cachePages === null) return ['indeterminate']
  if (call === 'ftruncate' || call === 'openat') return ['storage_failed']
  // SQLite takes a file that cannot be read for one that is damaged.
  const damaged = call === 'pread64' && error === 'EIO' ? ['storage_corrupt'] : []
  return ['indeterminate', 'storage_failed', ...damaged]
}

/** Whether nothing fails but commits, and what lacks room: then no handler is to blame. */
function sparesHandlers({ call, error, cachePages }: Trial): boolean {
  return (call === 'fsync' && cachePages === null) || error === 'ENOSPC' || error === 'EINTR'
}

function expectExpected(trial: Trial, said: readonly Said[]): void {
  const failed = said.filter((one) => one.is === 'failed')
  const unexpected = failed.filter((one) => !expectedCodes(trial, one).includes(one.code))
  expect(unexpected).toEqual([])
  expectVerified(trial, said)
  if (sparesHandlers(trial)) expect(said.filter(({ is }) => is === 'parked')).toEqual([])
}

/** What cannot be read is a difference as well, as long as it cannot. */
function expectVerified({ call }: Trial, said: readonly Said[]): void {
  const verified = said.filter((one) => one.is === 'verified')
  const differences = verified.flatMap((one) => one.differences)
  const isUnread = ({ kind }: { readonly kind: string }) => call === 'pread64' && kind === 'storage'
  expect(differences.filter((one) => !isUnread(one))).toEqual([])
  expect(verified.at(-1)?.differences).toEqual([])
}

function toldOf(database: string, { cachePages }: Way, rounds: number): FailingDisk {
  return { database, durability: 'full', seed: SEED, rounds, cachePages }
}

/** Has a process go through it; gives how many system calls have failed, and calls to the engine. */
async function survived(trial: Trial, rounds: number): Promise<{ faults: number; errors: number }> {
  const folder = makeTemporaryDirectory()
  const database = join(folder, 'pawl.db')
  try {
    const { code, signal, output, failed } = await suffer(
      bundled.path,
      toldOf(database, trial, rounds),
      trial,
    )
    const said = saidIn(output)
    expect({ code, signal, last: said.at(-1) }).toEqual({
      code: 0,
      signal: null,
      last: { is: 'finished' },
    })
    expectExpected(trial, said)
    await expectSettled(database, said)
    removeDirectory(folder)
    return { faults: failed, errors: said.filter(({ is }) => is === 'failed').length }
  } catch (cause) {
    throw new Error(`seed ${SEED}, ${JSON.stringify(trial)}: see ${folder}`, { cause })
  }
}

type Counts = ReadonlyMap<string, number>

/** How often each system call is made that may fail, in each way of working. */
async function countsOf(rounds: number): Promise<readonly (readonly [Way, Counts])[]> {
  const counted = WAYS.map(async (way) => {
    const folder = makeTemporaryDirectory()
    const told = toldOf(join(folder, 'pawl.db'), way, rounds)
    const counts = await countCalls(bundled.path, told, [...CALLS, ...RARE])
    removeDirectory(folder)
    return [way, counts] as const
  })
  return Promise.all(counted)
}

/** Once, a few times in a row, or again and again for a while. */
function someTime(random: () => number, count: number): string {
  const first = 1 + Math.floor(random() * 0.9 * count)
  const form = random()
  if (form < 0.3) return `${first}`
  return form < 0.6 ? `${first}..${first + 4}` : `${first}..${first + 140}+7`
}

type Counted = readonly (readonly [Way, Counts])[]

function matrix(counted: Counted): Trial[] {
  const random = randomFrom(SEED)
  const pairs = CALLS.flatMap((call) => ERRORS.map((error) => [call, error] as const))
  const tried = ROUNDS === 0 ? FEW : Array.from({ length: ROUNDS }, () => pairs).flat()
  return tried.flatMap(([call, error]) => {
    const [way, counts] = counted[Math.floor(random() * counted.length)] ?? []
    const when = someTime(random, counts?.get(call) ?? 1)
    return way === undefined ? [] : [{ ...way, call, error, when }]
  })
}

function everyCall(counted: Counted): Trial[] {
  return counted.flatMap(([way, counts]) =>
    [...counts].flatMap(([call, count]) =>
      Array.from({ length: count }, (_, i) => ({ ...way, call, error: 'EIO', when: `${i + 1}` })),
    ),
  )
}

/** Goes through all of them, two at a time, and tells how it went. */
async function surviveAll(trials: readonly Trial[], rounds: number, title: string): Promise<void> {
  const waiting = [...trials]
  const sum = { hit: 0, faults: 0, errors: 0 }
  const lane = async (): Promise<void> => {
    for (let trial = waiting.shift(); trial !== undefined; trial = waiting.shift()) {
      const { faults, errors } = await survived(trial, rounds)
      sum.hit += Number(faults > 0)
      sum.faults += faults
      sum.errors += errors
    }
  }
  await Promise.all([lane(), lane()])
  report(
    `storage errors, ${title}: seed ${SEED}, ${trials.length} processes, ${sum.hit} of them hit by ` +
      `${sum.faults} failing system calls, ${sum.errors} typed errors; all survived and settled`,
  )
  expect(sum.hit).toBeGreaterThanOrEqual(Math.floor(trials.length / 2))
}

const isPossible = canTrace('storage errors')

describe('a disk that fails now and then', () => {
  const timeout = 120_000 + ROUNDS * 300_000
  test.runIf(isPossible)('harms no process, and no call', { timeout }, async () => {
    await surviveAll(matrix(await countsOf(2)), 2, 'now and then')
  })

  test.runIf(isPossible && EVERY > 0)(
    'harms none at any of its system calls',
    { timeout: 4 * 3_600_000 },
    async () => {
      const trials = everyCall(await countsOf(1))
      const some = trials.filter((_, index) => index % EVERY === 0)
      await surviveAll(some, 1, `every call (one of ${EVERY})`)
    },
  )
})
