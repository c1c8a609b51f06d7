import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import type Sqlite from 'better-sqlite3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openCareless } from '../support/damage.ts'
import { type AnyTestEngine, handleOf, setupEngine } from '../support/engine.ts'
import { openRaw, type Row } from '../support/raw.ts'
import { openRich, richOptions } from '../support/rich.ts'
import { makeTemporaryDirectory, removeDirectory, temporaryFile } from '../support/temp.ts'
import { makeAnonymousRun } from '../support/world.ts'

const OPTIONS = richOptions(2, { session_idle: '1m', task_run_canceling: '5s' })

const rich = { directory: '', file: '', now: new Date(0) }

beforeAll(async () => {
  rich.directory = makeTemporaryDirectory()
  rich.file = join(rich.directory, 'rich.db')
  const engine = await openRich(rich.file)
  await consumeSome(engine)
  await makeAnonymousRun(engine)
  const [thing] = (await handleOf(engine, 'things').list({ status: 'on' })).data
  // So many entries that most of them are listed.
  for (let n = 0; n < 60; n += 1)
    await handleOf(engine, 'things').send(thing?.id ?? '', { type: 'go' })
  rich.now = engine.clock.now()
  await engine.close()
})

afterAll(() => removeDirectory(rich.directory))

/** Has a consumer that is done with some events, and has put one of them aside. */
async function consumeSome(engine: AnyTestEngine): Promise<void> {
  const stop = new AbortController()
  let handled = 0
  await engine.consume('mine', { type: 'thing.*', tries: 1, signal: stop.signal }, () => {
    handled += 1
    if (handled === 2) throw new Error('not this one')
    if (handled === 3) stop.abort()
  })
}

/** A copy of a database with a row in every table, and a connection that may write anything into it. */
async function openCopy(keep?: string) {
  const database = temporaryFile()
  copyFileSync(rich.file, database)
  const engine = await setupEngine({ database, now: rich.now, ...OPTIONS })
  if (keep !== undefined) {
    // No idempotency key and no consumer is to hold up the pruning.
    openRaw(database).exec('delete from pawl_consumers; delete from pawl_outcomes')
    await engine.prune({ events: keep })
  }
  return { engine, database, raw: openCareless(database).defaultSafeIntegers(false) }
}

function one(raw: Sqlite.Database, sql: string): Row {
  return (raw.prepare(sql).get() ?? expect.fail(`nothing for ${sql}`)) as Row
}

/** Checks that what is done to one row, and nothing else, is found. */
async function expectFound(
  { engine, raw }: Awaited<ReturnType<typeof openCopy>>,
  sql: string,
  found: readonly [kind: string, message: string],
): Promise<void> {
  expect((await engine.verify()).differences).toEqual([])
  expect(raw.prepare(sql).run().changes).toBe(1)

  const { ok, differences } = await engine.verify()

  expect(ok).toBe(false)
  const [kind, message] = found
  const fits = { kind, message: expect.stringContaining(message) }
  expect(differences).toEqual(expect.arrayContaining([expect.objectContaining(fits)]))
}

/** What is done to one row of a table, and what is found. */
type Case = readonly [what: string, sql: string, found: readonly [kind: string, message: string]]

/** Adds a copy of the first row that fits, with other values for some of its columns. */
function copied(
  table: string,
  columns: string,
  changed: Readonly<Record<string, string>>,
  where = 'true',
): string {
  const values = columns.split(', ').map((name) => changed[name] ?? name)
  return `insert into ${table} (${columns}) select ${values} from ${table} where ${where} limit 1`
}

test('a database with a row in every table has no differences', async () => {
  const { engine, raw } = await openCopy()
  const tables = [
    ...['machines', 'log', 'consumers', 'parked', 'statuses', 'listing', 'references', 'secrets'],
    ...['timers', 'outcomes'],
  ].map((name) => `pawl_${name}`)

  for (const table of [...tables, 'sqlite_sequence'])
    expect(one(raw, `select count(*) as count from ${table}`).count, table).toBeGreaterThan(0)
  expect((await engine.verify()).differences).toEqual([])
})

describe('of the row that says where the log begins, when', () => {
  test.each<Case>([
    [
      'it says that more has been pruned than there ever was',
      'update pawl_log set pruned = 9999',
      ['log', 'entry 1 is there, although the log has been pruned up to 9999'],
    ],
    ['it is gone', 'delete from pawl_log', ['log', 'the row that says where the log begins']],
  ])('%s', async (_, sql, found) => {
    await expectFound(await openCopy(), sql, found)
  })

  test.each<Case>([
    [
      'it says that less has been pruned than has',
      'update pawl_log set pruned = pruned - 1',
      ['log', 'of the log is missing'],
    ],
    [
      'it says that nothing has been pruned',
      'update pawl_log set pruned = 0',
      ['log', 'of the log are missing'],
    ],
    [
      'it says that more has been pruned than has',
      'update pawl_log set pruned = pruned + 1',
      ['log', 'is there, although the log has been pruned up to'],
    ],
  ])('%s, after pruning', async (_, sql, found) => {
    await expectFound(await openCopy('20s'), sql, found)
  })
})

describe('of the listing, when', () => {
  test.each<Case>([
    [
      'two rows have been exchanged in part',
      `update pawl_listing set type = (select type from pawl_listing where seq = 2) where seq = 1`,
      ['log', 'entry 1 is not in the listing as it is in the log'],
    ],
    [
      'a row has been added behind its end',
      copied('pawl_listing', 'seq, id, tenant, type, internal', {
        seq: '5000',
        id: `'evt_zzzzzzzzx'`,
      }),
      ['log', 'is not in the listing as it is in the log'],
    ],
  ])('%s', async (_, sql, found) => {
    await expectFound(await openCopy(), sql, found)
  })

  test('a row is missing, after pruning', async () => {
    const sql = 'delete from pawl_listing where seq = (select min(seq) from pawl_listing)'
    await expectFound(await openCopy('20s'), sql, ['log', 'is not in the listing'])
  })
})

describe('of the statuses, when', () => {
  const LISTED = `(
    select position from pawl_resources
    where latest < 100 and position > 1 order by position limit 1
  )`

  test.each<Case>([
    [
      'a row is at another position',
      `update pawl_statuses set position = 1000 where position = ${LISTED}`,
      ['state', 'it is listed as null, but its status is'],
    ],
    [
      'a row says what that of another says',
      `update pawl_statuses set (tenant, type, status) = ('default', 'session', 'idle')
       where position = ${LISTED}`,
      ['state', 'it is listed as {"tenant":"default","type":"session","status":"idle"}'],
    ],
  ])('%s', async (_, sql, found) => {
    await expectFound(await openCopy(), sql, found)
    await expectFound(await openCopy('20s'), sql, found)
  })
})

describe('of consumers, when', () => {
  test.each<Case>([
    [
      'one is beyond the end of the log',
      'update pawl_consumers set position = 9999',
      ['consumer', 'the consumer "mine" of tenant "default" is at place 9999; the log ends at'],
    ],
    [
      'one is before its beginning',
      'update pawl_consumers set position = -1',
      ['consumer', 'is at place -1'],
    ],
    [
      'one has been added that is beyond the end',
      `insert into pawl_consumers (tenant, name, position, fence, leased_until)
       values ('acme', 'new', 9999, 1, 0)`,
      ['consumer', 'the consumer "new" of tenant "acme" is at place 9999'],
    ],
    [
      'one has put aside another event than is at that place',
      `update pawl_parked set event_id = 'evt_0'`,
      ['consumer', 'has put evt_0 aside, which is not at place'],
    ],
    [
      'one has put an event aside at another place than it is at',
      'update pawl_parked set seq = seq - 1',
      ['consumer', 'aside, which is not at place'],
    ],
    [
      'one has put an event aside that the log does not reach',
      copied('pawl_parked', 'tenant, consumer, seq, event_id, error, attempts, parked_at', {
        seq: '9999',
      }),
      ['consumer', 'which is not at place 9999 of the log'],
    ],
  ])('%s', async (_, sql, found) => {
    await expectFound(await openCopy(), sql, found)
  })
})

describe('of what SQLite has counted, when', () => {
  test('it counts more resources than there are', async () => {
    const sql = `update sqlite_sequence set seq = seq + 2 where name = 'pawl_resources'`
    await expectFound(await openCopy(), sql, ['state', 'they were the last that were created'])
  })
})

describe('of references, when', () => {
  const COLUMNS = 'resource_id, field, type, target_id, live, position'

  test.each<Case>([
    [
      'one is of another field',
      `update pawl_references set field = 'source_id' where field = 'agent_id' and position = (
         select min(position) from pawl_references where field = 'agent_id'
       )`,
      ['reference', 'the reference in "agent_id" is to null'],
    ],
    [
      'one has been added for a field that is empty',
      copied(
        'pawl_references',
        COLUMNS,
        { field: `'credential_id'` },
        `type = 'task_run' and field = 'session_id' and resource_id not in (
           select resource_id from pawl_references where field = 'credential_id'
         )`,
      ),
      ['reference', 'the reference in "credential_id" is to'],
    ],
    [
      'one has been added of a resource that does not exist',
      copied('pawl_references', COLUMNS, { resource_id: `'nobody'` }),
      ['reference', 'there is no resource nobody, but pawl_references has rows of it'],
    ],
  ])('%s', async (_, sql, found) => {
    await expectFound(await openCopy(), sql, found)
  })
})

describe('of secrets, when', () => {
  const COLUMNS = 'resource_id, name, envelope'

  test.each<Case>([
    [
      'one has another name',
      `update pawl_secrets set name = 'other'
       where resource_id = (select min(resource_id) from pawl_secrets)`,
      ['secret', 'the secret "other" opens with none of the keys'],
    ],
    [
      'one has been copied to another name',
      copied('pawl_secrets', COLUMNS, { name: `'other'` }),
      ['secret', 'the secret "other" opens with none of the keys'],
    ],
    [
      'one has been copied from another resource',
      `update pawl_secrets set envelope = (select envelope from pawl_secrets order by resource_id desc)
       where resource_id = (select min(resource_id) from pawl_secrets)`,
      ['secret', 'opens with none of the keys'],
    ],
    [
      'one is cut short',
      `update pawl_secrets set envelope = substr(envelope, 1, 20)
       where resource_id = (select min(resource_id) from pawl_secrets)`,
      ['secret', 'opens with none of the keys'],
    ],
  ])('%s', async (_, sql, found) => {
    await expectFound(await openCopy(), sql, found)
  })
})

describe('of timers, when', () => {
  const FIRST = 'position = (select min(position) from pawl_timers)'

  test.each<Case>([
    [
      'one is of another resource',
      `update pawl_timers set resource_id = (select id from pawl_resources where type = 'agent')
       where ${FIRST}`,
      ['timer', 'but its log does not leave it pending'],
    ],
    [
      'one is there twice',
      copied(
        'pawl_timers',
        'resource_id, tenant, name, event, due_at, next_at',
        { name: 'null' },
        'name is not null',
      ),
      ['timer', 'but its log does not leave it pending'],
    ],
    [
      'one is put off before it is due',
      `update pawl_timers set attempts = 1, last_error = 'e', next_at = due_at - 1 where ${FIRST}`,
      ['timer', 'is to be tried next at'],
    ],
  ])('%s', async (_, sql, found) => {
    await expectFound(await openCopy(), sql, found)
  })
})

describe('of outcomes, when', () => {
  const COLUMNS = 'tenant, key, fingerprint, resource, changed, events, created_at'

  test.each<Case>([
    [
      'one has been added for another tenant',
      copied('pawl_outcomes', COLUMNS, { tenant: `'acme'` }),
      ['outcome', 'tenant is acme; the log says default'],
    ],
    [
      'one says that nothing has changed, and has events',
      `update pawl_outcomes set changed = 0 where key = 'send 1 0'`,
      ['outcome', 'it changed nothing, but has events'],
    ],
    [
      'one has events of several calls',
      `update pawl_outcomes set events = (
         select json_array(min(seq), max(seq)) from pawl_events
         where type = 'thing.went' and tenant = 'default'
       ) where key = 'send 1 0'`,
      ['outcome', 'its events are of several calls'],
    ],
  ])('%s', async (_, sql, found) => {
    await expectFound(await openCopy(), sql, found)
  })
})

test.each([
  ['is missing', `delete from pawl_machines where type = 'thing'`],
  ['is of another machine', `update pawl_machines set machine = '1:other' where type = 'thing'`],
])('where the row of a checked machine %s, opening checks again', async (_, sql) => {
  const { engine, database, raw } = await openCopy()
  const machine = one(raw, `select * from pawl_machines where type = 'thing'`)
  await engine.close()
  expect(raw.prepare(sql).run().changes).toBe(1)

  const again = await setupEngine({ database, now: rich.now, ...OPTIONS })

  expect(one(raw, `select * from pawl_machines where type = 'thing'`)).toEqual(machine)
  expect((await again.verify()).differences).toEqual([])
})
