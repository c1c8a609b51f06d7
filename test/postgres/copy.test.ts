/** Does a database that moves from SQLite to PostgreSQL stay what it is? */

import Sqlite from 'better-sqlite3'
import { type CopyProgress, copy } from 'pawl/postgres'
import { describe, expect, onTestFinished, test } from 'vitest'
import { copiedTables } from '../../src/store/copied-tables.ts'
import { activate, deliveriesOf, LOCAL, setupReceiver } from '../delivery/deliveries.ts'
import { consume, keeping } from '../support/consumers.ts'
import {
  type AnyEngine,
  allTimers,
  collect,
  fullLog,
  handleOf,
  openEngine,
  publicLog,
  setupEngine,
  setupRealEngine,
} from '../support/engine.ts'
import { caught, failureOf, viewOf } from '../support/errors.ts'
import { setupSchema } from '../support/postgres.ts'
import { openRaw } from '../support/raw.ts'
import { openRich, richOptions } from '../support/rich.ts'
import { temporaryFile } from '../support/temp.ts'
import { until } from '../support/until.ts'
import { makeAgent, makeSession } from '../support/world.ts'

type Target = Awaited<ReturnType<typeof setupSchema>>

/** All rows of the copied tables, whichever store they are in, bytes as text. */
type Dump = Readonly<Record<string, readonly object[]>>

const plain = (row: object) =>
  Object.fromEntries(
    Object.entries(row).map(([name, value]) => [
      name,
      value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value,
    ]),
  )

const listed = copiedTables.map(({ name, key, columns }) => ({
  name,
  text: (schema: string) =>
    `select ${Object.keys(columns).map((column) => `"${column}"`)} from ${schema}.${name} order by ${key}`,
}))

function dumpFile(file: string): Dump {
  const raw = openRaw(file)
  const rows = listed.map(({ name, text }) => [
    name,
    raw
      .prepare(text('main'))
      .all()
      .map(plain as never),
  ])
  return Object.fromEntries(rows)
}

async function query({ pool }: Target, text: string): Promise<object[]> {
  const client = await pool.connect()
  const types = { getTypeParser: (oid: number) => PARSERS[oid] ?? String }
  try {
    return (await client.query({ text, types: types as never })).rows as object[]
  } finally {
    client.release()
  }
}

const PARSERS: Readonly<Record<number, (text: string) => unknown>> = {
  ...{ 17: (text) => Buffer.from(text.slice(2), 'hex'), 20: Number, 21: Number, 23: Number },
}

async function dumpSchema(target: Target): Promise<Dump> {
  const dump: Record<string, readonly object[]> = {}
  for (const { name, text } of listed)
    dump[name] = (await query(target, text(target.schema))).map(plain)
  return dump
}

async function isThere({ schema, ...rest }: Target, table: string): Promise<boolean> {
  const found = await query(
    { schema, ...rest },
    `select to_regclass('${schema}.${table}')::text as name`,
  )
  return (found[0] as { name: string | null }).name !== null
}

/** A file with `count` agents, and some timers. */
async function makeFile(count: number): Promise<string> {
  const file = temporaryFile()
  const engine = await openEngine({ database: file, durability: 'relaxed' })
  await Promise.all(Array.from({ length: count }, () => makeAgent(engine)))
  await makeSession(engine)
  await engine.close()
  return file
}

const parkedOf = (engine: AnyEngine) => engine.consumers.parked('mirror').catch(() => [])

// PostgreSQL has no NUL.
const SAID = 'has a \uFFFD in it'

class Interruption extends Error {}

const interrupt = () => {
  throw new Interruption()
}

describe('a copy', () => {
  test('has the same rows in every table, and goes on from there', async () => {
    const file = temporaryFile()
    const target = await setupSchema()
    const first = await openRich(file)
    await first.prune({ events: '11m' })
    const [now, log, timers] = [
      first.clock.now(),
      await fullLog(first, { tenant: '*' }),
      await allTimers(first),
    ]
    const verified = await first.verify()
    await first.close()

    const { rows, copied } = await copy(file, target.database)

    expect(copied).toBe(rows)
    const dump = dumpFile(file)
    expect(await dumpSchema(target)).toEqual(dump)
    expect(Object.values(dump).flat()).toHaveLength(rows)
    const options = { ...richOptions(2, { session_idle: '1m', task_run_canceling: '5s' }), now }
    const second = await setupEngine({ database: target.database, ...options })
    expect(await second.verify()).toEqual(verified)
    expect(verified.ok).toBe(true)
    expect(await fullLog(second, { tenant: '*' })).toEqual(log)
    expect(await allTimers(second)).toEqual(timers)
    await makeSession(second)
    await second.clock.advance('2m')
    expect((await second.verify()).differences).toEqual([])
    expect((await fullLog(second, { tenant: '*' })).length).toBeGreaterThan(log.length)
  })

  test('remembers idempotency keys, opens secrets, and lets consumers and destinations go on', async () => {
    const file = temporaryFile()
    const target = await setupSchema()
    const receiver = await setupReceiver()
    const options = { delivery: LOCAL }
    const first = await openEngine({ database: file, ...options })
    const destination = await activate(first, receiver.url)
    const key = { idempotencyKey: 'once' }
    const { resource: agent } = await handleOf(first, 'agents').create({ name: 'A' }, key)
    const consumer = consume(first, 'mirror', { tries: 1 }, () => {
      throw new Error('has a \0 in it')
    })
    const { length: count } = await publicLog(first)
    await until(async () => (await parkedOf(first)).length === count)
    await consumer.stop()
    await first.tick()
    const sent = (await collect(deliveriesOf(first).list())).map(({ id }) => id)
    const secrets = await handleOf(first, 'eventDestinations').reveal(destination.id)
    const now = first.clock.now()
    await first.close()

    await copy(file, target.database)

    const second = await setupEngine({ database: target.database, ...options, now })
    expect(await handleOf(second, 'agents').create({ name: 'A' }, key)).toMatchObject({
      ...{ replayed: true, resource: { id: agent.id } },
    })
    expect(await handleOf(second, 'eventDestinations').reveal(destination.id)).toEqual(secrets)
    expect((await collect(deliveriesOf(second).list())).map(({ id }) => id)).toEqual(sent)
    expect((await parkedOf(second)).map(({ error }) => error)).toEqual(Array(count).fill(SAID))
    const { seen, handler, untilSeen } = keeping()
    const follower = consume(second, 'mirror', {}, handler)
    const next = await makeAgent(second)
    await untilSeen(1)
    await follower.stop()
    expect(seen.map(({ resource_id }) => resource_id)).toEqual([next.id])
    await second.tick()
    expect(receiver.events.map(({ data }) => data.id)).toEqual([agent.id, next.id])
    expect((await second.verify()).differences).toEqual([])
  })

  test('gives positions that have never been given', async () => {
    const file = temporaryFile()
    const target = await setupSchema()
    const first = await openEngine({ database: file })
    for (let count = 0; count < 3; count++) await makeSession(first)
    await first.clock.advance('1h')
    expect(await allTimers(first)).toEqual([])
    const now = first.clock.now()
    await first.close()
    const given = openRaw(file)
      .prepare("select seq from sqlite_sequence where name = 'pawl_timers'")
      .pluck()
      .get()

    await copy(file, target.database)
    const second = await setupEngine({ database: target.database, now })
    await makeSession(second)

    const timers = await query(target, `select position from ${target.schema}.pawl_timers`)
    expect(timers).toEqual([{ position: Number(given) + 1 }])
  })

  test('of nothing is an engine with nothing in it', async () => {
    const file = temporaryFile()
    const target = await setupSchema()
    await (await openEngine({ database: file })).close()

    await copy(file, target.database)

    const engine = await setupEngine({ database: target.database })
    await makeAgent(engine)
    await makeSession(engine)
    expect((await engine.verify()).ok).toBe(true)
  })

  test.each(['file', 'memory'])(
    'of a Database that the application has open: %s',
    async (where) => {
      const database = new Sqlite(where === 'file' ? temporaryFile() : ':memory:')
      onTestFinished(() => void database.close())
      const target = await setupSchema()
      const engine = await setupEngine({ database })
      const agent = await makeAgent(engine)

      await copy(database, target.database)

      expect(database.open).toBe(true)
      const second = await setupEngine({ database: target.database })
      expect(await handleOf(second, 'agents').get(agent.id)).toEqual(agent)
    },
  )

  test('knows every column of both stores', async () => {
    const target = await setupSchema()
    const file = await makeFile(0)
    await setupRealEngine({ database: target.database })
    const raw = openRaw(file)
    for (const { name, columns } of copiedTables) {
      const expected = Object.keys(columns).sort()
      const here = raw.prepare(`select name from pragma_table_info('${name}')`).pluck().all()
      const there = await query(
        target,
        `select column_name as name from information_schema.columns
         where table_schema = '${target.schema}' and table_name = '${name}'`,
      )
      expect(here.sort()).toEqual(expected)
      expect(there.map((row) => Reflect.get(row, 'name')).sort()).toEqual(expected)
    }
  })
})

describe('a copy that was interrupted', () => {
  test('goes on where it stopped, and cannot be opened before', async () => {
    const file = await makeFile(2500)
    const target = await setupSchema()
    let calls = 0

    const error = await caught(() =>
      copy(file, target.database, { onProgress: () => ++calls === 4 && interrupt() }),
    )
    expect(error).toBeInstanceOf(Interruption)
    const opened = await failureOf(() => openEngine({ database: target.database }))
    expect(opened).toMatchObject({ code: 'storage_failed', operation: 'open' })
    expect(opened.message).toContain('run copy again')

    const seen: CopyProgress[] = []
    const { rows, copied } = await copy(file, target.database, {
      onProgress: (progress) => void seen.push(progress),
    })

    expect(rows - copied).toBe(2501 + 1000)
    expect(seen[0]?.copied).toBe(4501)
    expect(seen.at(-1)).toEqual({ total: rows, copied: rows, compared: rows })
    expect(await dumpSchema(target)).toEqual(dumpFile(file))
    expect(await isThere(target, 'pawl_unfinished_copy')).toBe(false)
  })

  test('copies nothing twice, and nothing at all when it had ended', async () => {
    const file = await makeFile(5)
    const target = await setupSchema()
    const { rows } = await copy(file, target.database)

    expect(await copy(file, target.database)).toEqual({ rows, copied: 0 })
  })

  test('is refused when the source has been used since', async () => {
    const file = await makeFile(5)
    const target = await setupSchema()
    await caught(() => copy(file, target.database, { onProgress: interrupt }))
    const engine = await openEngine({ database: file })
    await makeAgent(engine)
    await engine.close()

    const error = await failureOf(() => copy(file, target.database))

    expect(error.issues).toMatchObject([{ code: 'source_changed' }])
  })
})

describe('a copy is refused', () => {
  test.each([
    ['a new row', "insert into pawl_machines values ('late', 'x')"],
    ['another row', 'update pawl_timers set attempts = attempts + 1'],
    ['one row less', 'delete from pawl_timers'],
  ])('when the source is written to meanwhile: %s', async (_, change) => {
    const file = await makeFile(5)
    const target = await setupSchema()
    const raw = openRaw(file)
    let calls = 0
    // Once all has been copied.
    const onProgress = ({ total, copied }: CopyProgress) => {
      if (total === copied && calls++ === 0) raw.exec(change)
    }

    const error = await failureOf(() => copy(file, target.database, { onProgress }))

    expect(error).toMatchObject({ code: 'invalid_input', issues: [{ code: 'source_changed' }] })
    expect(error.message).toContain('stop every engine that uses it')
    const opened = await failureOf(() => openEngine({ database: target.database }))
    expect(opened.code).toBe('storage_failed')
  })

  test('into a target that holds another database, finished or not', async () => {
    const [file, other] = [await makeFile(2), await makeFile(3)]
    const [target, half] = [await setupSchema(), await setupSchema()]
    const engine = await setupEngine({ database: target.database })
    await makeAgent(engine)
    await caught(() => copy(other, half.database, { onProgress: interrupt }))

    for (const { database } of [target, half]) {
      const error = await failureOf(() => copy(file, database))
      expect(error.issues).toMatchObject([{ code: 'another_database' }])
    }
    expect((await engine.verify()).ok).toBe(true)
  })

  test('into a target that was copied and has been used since', async () => {
    const file = await makeFile(2)
    const target = await setupSchema()
    await copy(file, target.database)
    const engine = await setupEngine({ database: target.database })
    await makeAgent(engine)

    const error = await failureOf(() => copy(file, target.database))

    expect(error.issues).toMatchObject([{ code: 'target_changed' }])
    expect((await engine.verify()).ok).toBe(true)
  })

  test('into a target to which another copy writes, which stays as it has to be', async () => {
    const file = await makeFile(1500)
    const target = await setupSchema()

    const both = await Promise.allSettled([1, 2].map(() => copy(file, target.database)))

    const errors = both.flatMap((one) => (one.status === 'rejected' ? [viewOf(one.reason)] : []))
    for (const error of errors) expect(error.issues).toMatchObject([{ code: 'target_in_use' }])
    const { rows } = await copy(file, target.database)
    expect(rows).toBe(Object.values(dumpFile(file)).flat().length)
    expect(await dumpSchema(target)).toEqual(dumpFile(file))
  })

  test('from what is no database of pawl', async () => {
    const target = await setupSchema()
    const empty = temporaryFile()
    new Sqlite(empty).exec('create table notes (id text)').close()
    const cases: [unknown, string][] = [
      [empty, 'invalid_input'],
      [temporaryFile(), 'storage_failed'],
      [':memory:', 'invalid_input'],
      ['', 'invalid_input'],
      [null, 'invalid_input'],
    ]
    for (const [from, code] of cases)
      expect((await failureOf(() => copy(from as string, target.database))).code).toBe(code)
  })

  test('into what is no target, and with options that cannot be', async () => {
    const file = await makeFile(0)
    const { database } = await setupSchema()
    const wrong = [{ open: async () => {} }, null, 'app.db']
    for (const to of wrong)
      expect((await failureOf(() => copy(file, to as never))).code).toBe('invalid_input')
    const options = { progress: () => {} } as never
    expect((await failureOf(() => copy(file, database, options))).code).toBe('invalid_input')
    const noFunction = { onProgress: 5 } as never
    expect((await failureOf(() => copy(file, database, noFunction))).code).toBe('invalid_input')
  })
})
