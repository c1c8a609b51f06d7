import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { createEngine } from '../../src/index.ts'
import { failureOf, viewOf } from '../support/errors.ts'
import { temporaryFile } from '../support/temp.ts'
import { canMakeSmallDisks, makeSmallDisk } from './small-disk.ts'

const PAGE = 4096

function open(database: string) {
  return createEngine({ database, durability: 'relaxed' })
}

/** Makes a database that holds an agent. */
async function makeDatabase(database = temporaryFile()): Promise<string> {
  const engine = await open(database)
  await engine.agents.create({ name: 'A' })
  await engine.close()
  return database
}

/** Every file of a folder, with its bytes. */
function filesIn(folder: string): Map<string, Buffer> {
  return new Map(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))]))
}

/** What opening a file says; neither it nor its folder may be changed by that. */
async function refusal(database: string) {
  const before = filesIn(dirname(database))
  const error = await failureOf(open(database))
  expect(filesIn(dirname(database))).toEqual(before)
  return error
}

/** What opening and verifying a file comes to. */
async function outcomeOf(database: string): Promise<string> {
  try {
    const engine = await open(database)
    const { ok } = await engine.verify().finally(() => engine.close())
    return ok ? 'verified' : 'differences'
  } catch (error) {
    return viewOf(error).code
  }
}

describe('a file that cannot be used', () => {
  test.each<[string, (bytes: Buffer) => Buffer]>([
    ['holds anything else', () => Buffer.alloc(10 * PAGE, 'anything else ')],
    ['holds less than a header', (bytes) => bytes.subarray(0, 60)],
    ['has been cut off after the header', (bytes) => bytes.subarray(0, 100)],
    ['has been cut off in its second page', (bytes) => bytes.subarray(0, PAGE + 900)],
    ['has been cut off in the middle', (bytes) => bytes.subarray(0, bytes.length / 2)],
    ['has zeros for its first page', (bytes) => Buffer.concat([Buffer.alloc(PAGE), bytes])],
  ])('since it %s is storage_corrupt, and stays as it is', async (_, spoil) => {
    const database = await makeDatabase()
    writeFileSync(database, spoil(readFileSync(database)))
    expect(await refusal(database)).toMatchObject({ code: 'storage_corrupt', retryable: false })
  })

  test('is not one that is empty: a database is made of it', async () => {
    const database = temporaryFile()
    writeFileSync(database, '')
    await makeDatabase(database)
    const engine = await open(database)
    expect((await engine.agents.list()).data).toHaveLength(1)
    await engine.close()
  })

  test.runIf(canMakeSmallDisks('a read-only disk'))(
    'since its disk is read-only is storage_failed, and stays as it is',
    async () => {
      const disk = makeSmallDisk()
      const database = await makeDatabase(join(disk.folder, 'pawl.db'))
      disk.protect()
      expect(await refusal(database)).toMatchObject({ code: 'storage_failed', retryable: false })
      const missing = join(disk.folder, 'missing.db')
      expect(await refusal(missing)).toMatchObject({ code: 'storage_failed' })
    },
  )

  test('for one of its pages says so when it is opened or verified, with no other error', async () => {
    const database = await makeDatabase()
    const whole = readFileSync(database)
    const outcomes = new Set<string>()
    for (let start = PAGE; start < whole.length; start += PAGE) {
      writeFileSync(database, Buffer.from(whole).fill(0xab, start, start + PAGE))
      outcomes.add(await outcomeOf(database))
    }
    // Some pages hold nothing but the names of migrations.
    outcomes.delete('verified')
    expect([...outcomes].sort()).toEqual(['differences', 'storage_corrupt'])
  })
})
