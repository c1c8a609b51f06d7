import { closeSync, copyFileSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type Sqlite from 'better-sqlite3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { assign, createMachine, emit } from 'xstate'
import { agentPlatform } from '../../machines/index.ts'
import { damageByte, openCareless, randomFrom } from '../support/damage.ts'
import {
  type AnyEngine,
  type AnyTestEngine,
  type Difference,
  handleOf,
  openEngine,
  setupEngine,
  setupRealEngine,
} from '../support/engine.ts'
import { failureOf } from '../support/errors.ts'
import { insertRow, openRaw, type Row } from '../support/raw.ts'
import { openRich, richOptions } from '../support/rich.ts'
import { makeTemporaryDirectory, removeDirectory, temporaryFile } from '../support/temp.ts'
import { openThing, thing, withThings } from '../support/things.ts'
import { makeRunningRun, makeSession, makeTask, send } from '../support/world.ts'

const OPTIONS = richOptions(2, { session_idle: '1m', task_run_canceling: '5s' })

const rich = { directory: '', file: '', now: new Date(0) }

beforeAll(async () => {
  rich.directory = makeTemporaryDirectory()
  rich.file = join(rich.directory, 'rich.db')
  const engine = await openRich(rich.file)
  rich.now = engine.clock.now()
  await engine.close()
})

afterAll(() => removeDirectory(rich.directory))

/** A copy of a database with some of everything, and a connection that may write anything into it. */
async function openCopy(options: object = {}) {
  const database = temporaryFile()
  copyFileSync(rich.file, database)
  const engine = await setupEngine({ database, now: rich.now, ...OPTIONS, ...options })
  return { engine, database, raw: openCareless(database).defaultSafeIntegers(false) }
}

async function differencesOf(engine: AnyEngine): Promise<readonly Difference[]> {
  return (await engine.verify()).differences
}

function one(raw: Sqlite.Database, sql: string): Row {
  return (raw.prepare(sql).get() ?? expect.fail(`nothing for ${sql}`)) as Row
}

describe('a database that nobody has touched', () => {
  test('has no differences, and everything in it is checked', async () => {
    const { engine, raw } = await openCopy()
    const count = (table: string) => one(raw, `select count(*) as count from ${table}`).count

    const verification = await engine.verify()

    expect(verification).toEqual({
      ok: true,
      checked: {
        resources: count('pawl_resources'),
        events: count('pawl_events'),
        timers: count('pawl_timers'),
      },
      differences: [],
    })
    expect(verification.checked.timers).toBeGreaterThan(3)
    for (const table of ['references', 'secrets', 'outcomes'])
      expect(count(`pawl_${table}`)).toBeGreaterThan(2)
  })

  test('is not changed', async () => {
    const { engine, raw } = await openCopy()
    const tables = raw
      .prepare(`select name from sqlite_master where name like 'pawl%' and type = 'table'`)
      .pluck()
      .all() as string[]
    const content = () => tables.map((table) => raw.prepare(`select * from ${table}`).all())
    const [before, version] = [content(), raw.pragma('data_version')]

    await engine.verify()

    expect(content()).toEqual(before)
    expect(raw.pragma('data_version')).toEqual(version)
  })

  test('has none either for an engine that knows some of its resources only', async () => {
    const { engine } = await openCopy({ resources: agentPlatform() })
    expect(await engine.verify()).toMatchObject({ ok: true, checked: { resources: 34 } })
  })

  test('has none with other timeouts', async () => {
    const timeouts = { session_idle: '2h', session_provisioning: '1s', task_run_canceling: '3h' }
    const { engine } = await openCopy(richOptions(2, timeouts))
    expect(await differencesOf(engine)).toEqual([])
  })

  test('has none for an engine without keys, nor in memory, nor empty', async () => {
    const { engine } = await openCopy({ encryptionKeys: [] })
    expect(await differencesOf(engine)).toEqual([])
    const empty = await setupEngine()
    expect(await empty.verify()).toMatchObject({ ok: true, checked: { resources: 0, events: 0 } })
    await makeRunningRun(empty)
    expect(await differencesOf(empty)).toEqual([])
  })

  test('has none when the clock has been set back', async () => {
    const { database, engine } = await openCopy()
    await engine.close()
    const now = new Date(rich.now.getTime() - 60_000)
    const early = await setupEngine({ database, now, ...OPTIONS })
    expect(await differencesOf(early)).toEqual([])
    await handleOf(early, 'things').create({})
    expect(await differencesOf(early)).toEqual([])
  })

  test('has none while its timers are overdue', async () => {
    const { engine, database } = await openCopy()
    await engine.close()
    const now = new Date(rich.now.getTime() + 10 * 86_400_000)
    const late = await setupEngine({ database, now, ...OPTIONS })
    expect(await differencesOf(late)).toEqual([])
    await handleOf(late, 'things').create({})
    expect(await differencesOf(late)).toEqual([])
    await late.tick()
    expect(await differencesOf(late)).toEqual([])
  })
})

/** One seed for a run, so that a failure can be run again. */
const seed = Number(process.env.PAWL_SEED ?? Date.now() % 1_000_000)

test(`any byte of a thousand is found (PAWL_SEED=${seed})`, { timeout: 300_000 }, async () => {
  const { engine, raw } = await openCopy()
  raw.defaultSafeIntegers(true)
  const random = randomFrom(seed)
  for (let n = 0; n < 1000; n += 1) {
    const { resourceId, text, undo } = damageByte(raw, random)
    const { ok, differences } = await engine.verify()
    const named = differences.map(({ resource_id }) => resource_id)
    expect([ok, named], text).toEqual([false, expect.arrayContaining([resourceId])])
    undo()
  }
  expect(await differencesOf(engine)).toEqual([])
})

/** What is done to a row of a table, and what is found. */
type Case = readonly [what: string, sql: string, found: readonly (readonly [string, string])[]]

const LAST = '(select max(seq) from pawl_events)'

const log: readonly Case[] = [
  [
    'its end has been cut off',
    `delete from pawl_events where seq > ${LAST} - 2`,
    [['log', 'it has no entries in the log']],
  ],
  [
    'its last entry has been cut off',
    `delete from pawl_events where seq = ${LAST}`,
    [['log', 'the log has 81 entries of resources that exist, but 80 are found through these']],
  ],
  [
    'an entry is missing',
    'delete from pawl_events where seq = 40',
    [['log', 'entry 40 of the log is missing']],
  ],
  [
    'the first is missing',
    'delete from pawl_events where seq = 1',
    [['log', 'entry 1 of the log is missing']],
  ],
  [
    'its row is gone',
    'delete from pawl_log',
    [['log', 'the row that says where the log begins and ends']],
  ],
  [
    'it claims to have been pruned',
    'update pawl_log set pruned = 3',
    [['log', 'entry 1 is there, although the log has been pruned up to 3']],
  ],
  [
    'an entry comes from elsewhere',
    `update pawl_events set resource_id = 'nobody' where seq = 50`,
    [['log', 'there is no resource nobody, but the log has entries about it: 1, from place 50 on']],
  ],
]

describe('the log', () => {
  test.each(log)('when %s', async (_, sql, found) => {
    const { engine, raw } = await openCopy()
    raw.exec(sql)
    expectFound(await differencesOf(engine), found)
  })

  test.each<[string, string, string]>([
    ['leads to another entry', 'previous = previous - 1', 'log'],
    ['leads to none', 'previous = 0', 'log'],
    ['counts too few', 'ordinal = ordinal - 1', 'log'],
    ['counts too many', 'ordinal = ordinal + 1', 'log'],
    ['counts as a milestone', 'ordinal = 32', 'log'],
  ])('when an entry %s', async (_, change, kind) => {
    const { engine, raw } = await openCopy()
    for (const order of ['asc', 'desc']) {
      const { seq, resource_id, previous, ordinal } = one(
        raw,
        `select * from pawl_events where previous > 1 order by seq ${order} limit 1`,
      )
      raw.exec(`update pawl_events set ${change} where seq = ${seq}`)

      const differences = await differencesOf(engine)

      const fits = { kind, resource_id }
      expect(differences).toEqual(expect.arrayContaining([expect.objectContaining(fits)]))
      raw
        .prepare('update pawl_events set previous = ?, ordinal = ? where seq = ?')
        .run(previous, ordinal, seq)
      expect(await differencesOf(engine)).toEqual([])
    }
  })

  test.each([
    ['ends at an earlier entry', 'latest = (select previous from pawl_events where seq = latest)'],
    ['ends at an entry of another', 'latest = latest - 1'],
    ['ends at no entry', 'latest = 9999'],
    ['ends nowhere', 'latest = 0'],
    ['counts too few', 'entries = entries - 1'],
    ['counts too many', 'entries = entries + 1'],
  ])('when a resource %s', async (_, change) => {
    const { engine, raw } = await openCopy()
    const { id } = one(
      raw,
      'select * from pawl_resources where entries > 2 order by position limit 1',
    )
    expect(raw.prepare(`update pawl_resources set ${change} where id = ?`).run(id).changes).toBe(1)

    const differences = await differencesOf(engine)

    expect(differences.map(({ resource_id }) => resource_id)).toContain(id)
  })

  test('when the last resource has vanished with its history', async () => {
    const { engine, raw } = await openCopy()
    const { id } = one(raw, 'select id from pawl_resources order by position desc limit 1')
    for (const table of ['timers', 'secrets', 'references', 'events'])
      raw.prepare(`delete from pawl_${table} where resource_id = ?`).run(id)
    raw.prepare('delete from pawl_resources where id = ?').run(id)

    expect(await engine.verify()).toMatchObject({ ok: false })
  })

  test('when a resource has vanished with its history', async () => {
    const { engine, raw } = await openCopy()
    const { id } = one(raw, `select id from pawl_resources where type = 'session' limit 1`)
    for (const table of ['timers', 'secrets', 'references', 'events'])
      raw.prepare(`delete from pawl_${table} where resource_id = ?`).run(id)
    raw.prepare('delete from pawl_resources where id = ?').run(id)

    const differences = await differencesOf(engine)

    expectFound(differences, [
      ['log', 'of the log are missing'],
      ['state', 'but there is no resource at position'],
    ])
  })

  test('when entries have been rewritten with hashes that fit: the machine says otherwise', async () => {
    const { engine, raw } = await openCopy()
    raw.exec(
      `update pawl_events set data = replace(data, 'Fetch', 'Fxtch') where type like 'task.%'`,
    )

    const differences = await differencesOf(engine)

    expectFound(differences, [
      ['hash', 'is not what its hash says'],
      ['replay', 'Fxtch'],
    ])
    expect(differences.find(({ kind }) => kind === 'replay')?.message).toContain(
      'has the machine been changed without a new version?',
    )
  })
})

describe('what has been listed of the log', () => {
  /** As above, with so many entries that most of them have been listed. */
  async function openListed() {
    const opened = await openCopy()
    const [id = ''] = (await handleOf(opened.engine, 'things').list({ status: 'on' })).data.map(
      (view) => view.id,
    )
    for (let n = 0; n < 60; n += 1) await handleOf(opened.engine, 'things').send(id, { type: 'go' })
    expect(one(opened.raw, 'select max(seq) as seq from pawl_listing').seq).toBe(128)
    expect(await differencesOf(opened.engine)).toEqual([])
    return { ...opened, id }
  }

  test.each([
    ['is missing', 'delete from pawl_listing where seq = 100'],
    ['is the first one, and missing', 'delete from pawl_listing where seq = 1'],
    ['has another id', `update pawl_listing set id = 'evt_00000000x' where seq = 100`],
    ['has another tenant', `update pawl_listing set tenant = 'other' where seq = 100`],
    ['has another type', `update pawl_listing set type = 'thing.xent' where seq = 100`],
    ['is public or not', 'update pawl_listing set internal = 1 - internal where seq = 100'],
    ['is at another place', 'update pawl_listing set seq = 1000 where seq = 100'],
  ])('differs where a row %s', async (_, sql) => {
    const { engine, raw } = await openListed()
    expect(raw.prepare(sql).run().changes).toBe(1)

    const differences = await differencesOf(engine)

    expectFound(differences, [['log', 'is not in the listing as it is in the log']])
  })

  test('is listed again where the last rows are missing: those entries are looked through', async () => {
    const { engine, raw, id } = await openListed()
    const filter = { type: 'thing.went', limit: 1000 }
    const before = await engine.events.list(filter)
    raw.exec('delete from pawl_listing where seq > 120')

    expect(await differencesOf(engine)).toEqual([])
    expect(await engine.events.list(filter)).toEqual(before)
    for (let n = 0; n < 130; n += 1) await handleOf(engine, 'things').send(id, { type: 'go' })
    expect(one(raw, 'select count(*) as count from pawl_listing').count).toBe(256)
    expect(await differencesOf(engine)).toEqual([])
  })

  test('differs where a row is there of an entry that is not', async () => {
    const { engine, raw } = await openListed()
    const row = one(raw, 'select * from pawl_listing where seq = 128')
    insertRow(raw, 'pawl_listing', { ...row, seq: 5000, id: 'evt_zzzzzzzzx' })

    expect(await engine.verify()).toMatchObject({ ok: false })
  })

  test.each([
    ['is missing', 'delete from pawl_statuses where position = ?'],
    ['has another status', `update pawl_statuses set status = 'xff' where position = ?`],
    ['has another tenant', `update pawl_statuses set tenant = 'other' where position = ?`],
    ['has another type', `update pawl_statuses set type = 'task' where position = ?`],
  ])('differs where the status of a resource %s', async (_, sql) => {
    const { engine, raw } = await openListed()
    const { id, position } = one(
      raw,
      'select * from pawl_resources where latest < 100 order by position limit 1',
    )
    expect(raw.prepare(sql).run(position).changes).toBe(1)

    const differences = await differencesOf(engine)

    expect(differences.map(({ resource_id }) => resource_id)).toContain(id)
  })
})

function expectFound(differences: readonly Difference[], found: Case[2]): void {
  for (const [kind, message] of found) {
    const fits = { kind, message: expect.stringContaining(message) }
    expect(differences).toEqual(expect.arrayContaining([expect.objectContaining(fits)]))
  }
}

/** Checks that differences are all of one kind and name the same resource. */
function expectOnly(differences: readonly Difference[], kind: string, id: unknown): void {
  expect(differences.length).toBeGreaterThan(0)
  expect(differences).toEqual(
    differences.map(() => expect.objectContaining({ kind, resource_id: id })),
  )
}

describe('timers', () => {
  test.each([
    ['deleted', 'delete from pawl_timers where position = @position', 'but not stored'],
    [
      'due at another time',
      'update pawl_timers set due_at = due_at + 1, next_at = next_at + 1',
      'does not leave it pending',
    ],
    [
      'for another event',
      `update pawl_timers set event = '{"type":"go"}'`,
      'does not leave it pending',
    ],
    ['under another name', `update pawl_timers set name = 'other'`, 'does not leave it pending'],
    ['of another tenant', `update pawl_timers set tenant = 'other'`, 'is of tenant "other"'],
    ['to be tried later', 'update pawl_timers set next_at = next_at + 1', 'is to be tried next at'],
    [
      'tried before',
      'update pawl_timers set attempts = 1',
      'tried 1 times, but its last error is null',
    ],
    [
      'failed before',
      `update pawl_timers set last_error = 'e'`,
      'tried 0 times, but its last error is e',
    ],
  ])('%s', async (_, sql, message) => {
    const { engine, raw } = await openCopy()
    const { position, resource_id } = one(
      raw,
      'select * from pawl_timers order by due_at desc limit 1',
    )
    const where = sql.startsWith('delete') ? sql : `${sql} where position = @position`
    raw.prepare(where).run({ position })

    const differences = await differencesOf(engine)

    expectOnly(differences, 'timer', resource_id)
    expect(differences.map((difference) => difference.message).join()).toContain(message)
  })

  test('that nobody has set, of a resource and of none', async () => {
    const { engine, raw } = await openCopy()
    const { position: _, ...timer } = one(raw, 'select * from pawl_timers limit 1')
    insertRow(raw, 'pawl_timers', { ...timer, name: 'more' })
    insertRow(raw, 'pawl_timers', { ...timer, resource_id: 'nobody' })
    expectFound(await differencesOf(engine), [
      ['timer', 'timer "more"'],
      ['timer', 'there is no resource nobody, but pawl_timers has rows of it'],
    ])
  })

  test('in another order than they were set', async () => {
    const { engine, raw } = await openCopy()
    const { resource_id } = one(
      raw,
      'select resource_id from pawl_timers group by resource_id having count(*) > 1',
    )
    const last = one(raw, 'select max(position) + 1 as position from pawl_timers')
    raw
      .prepare(
        'update pawl_timers set position = ? where position = (select min(position) from pawl_timers where resource_id = ?)',
      )
      .run(last.position, resource_id)
    expectOnly(await differencesOf(engine), 'timer', resource_id)
  })

  test('that failed and were put off are as they should be', async () => {
    const calm = {
      on: { go: {} },
      after: {
        10: {
          actions: assign(() => {
            throw new Error('no')
          }),
        },
      },
    }
    const machine = createMachine({ context: {}, initial: 'calm', states: { calm } } as object)
    const { engine } = await openThing(machine)
    await engine.clock.advance('1m')
    expect(await differencesOf(engine)).toEqual([])
  })
})

describe('references', () => {
  test.each([
    ['deleted', 'delete from pawl_references', 'is to null'],
    ['to another', `update pawl_references set target_id = 'sess_1'`, 'is to sess_1; its log says'],
    ['of another type', `update pawl_references set type = 'task'`, 'has type task instead of'],
    ['dead', 'update pawl_references set live = 1 - live', 'has live'],
    ['moved', 'update pawl_references set position = position + 1', 'has position'],
  ])('%s', async (_, sql, message) => {
    const { engine, raw } = await openCopy()
    const { resource_id, field } = one(
      raw,
      `select * from pawl_references where field = 'session_id' limit 1`,
    )
    raw.prepare(`${sql} where resource_id = ? and field = ?`).run(resource_id, field)

    const differences = await differencesOf(engine)

    expectOnly(differences, 'reference', resource_id)
    expect(differences[0]?.message).toContain(message)
  })
})

describe('secrets', () => {
  test('that have been altered, or belong to nobody', async () => {
    const { engine, raw } = await openCopy()
    const { resource_id, name, envelope } = one(raw, 'select * from pawl_secrets limit 1')
    const altered = Buffer.from(envelope as Buffer)
    altered[altered.length - 1] = (altered.at(-1) ?? 0) ^ 1
    raw
      .prepare('update pawl_secrets set envelope = ? where resource_id = ? and name = ?')
      .run(altered, resource_id, name)
    insertRow(raw, 'pawl_secrets', { resource_id: 'nobody', name: 'x', envelope: altered })

    const differences = await differencesOf(engine)

    expect(differences.map(({ kind, resource_id: id }) => [kind, id])).toEqual([
      ['secret', resource_id],
      ['secret', 'nobody'],
    ])
    expect(differences[0]?.message).toContain(`the secret "${name}" opens with none of the keys`)
  })

  test('whose key is not given', async () => {
    const { engine, raw } = await openCopy({
      encryptionKeys: [Buffer.alloc(32, 9).toString('base64')],
    })
    const { count } = one(raw, 'select count(*) as count from pawl_secrets')
    const kinds = (await differencesOf(engine)).map(({ kind }) => kind)
    expect(kinds.filter((kind) => kind === 'secret')).toHaveLength(Number(count))
    expect(kinds.filter((kind) => kind !== 'secret')).toEqual(['outcome'])
  })

  test('of what has ended', async () => {
    const { engine, raw } = await openCopy()
    const { id } = one(raw, `select id from pawl_resources where type = 'credential' and final`)
    const { envelope } = one(raw, 'select * from pawl_secrets limit 1')
    insertRow(raw, 'pawl_secrets', { resource_id: id, name: 'password', envelope })
    expectFound(await differencesOf(engine), [
      ['secret', 'it has ended, but its secrets are still there'],
    ])
  })
})

describe('outcomes', () => {
  const NEW = `key = 'create 3'`
  const OLD = `key = 'send 1 0'`

  test.each([
    [NEW, `resource = json_set(resource, '$.status', 'on')`, 'status is on; the log says off'],
    [NEW, `resource = json_set(resource, '$.n', 7)`, 'n is 7; the log says 0'],
    [NEW, `resource = json_set(resource, '$.more', 7)`, 'more is 7'],
    [OLD, `resource = json_set(resource, '$.status', 'off')`, 'status is off; the log says on'],
    [OLD, `resource = json_set(resource, '$.updated_at', '2026')`, 'updated_at is 2026'],
    [OLD, `resource = json_set(resource, '$.version', 99)`, 'it shows version 99'],
    [OLD, `resource = json_set(resource, '$.version', 0)`, 'it shows version 0'],
    [OLD, `resource = json_set(resource, '$.id', 'nobody')`, 'its resource does not exist'],
    [
      OLD,
      `resource = json_set(resource, '$.object', 'task')`,
      'object is task; the log says thing',
    ],
    [OLD, `resource = '[]'`, 'it does not show a resource'],
    [OLD, `resource = '{'`, 'it does not show a resource'],
    [OLD, `tenant = 'other'`, 'tenant is other; the log says default'],
    [OLD, `changed = 3`, 'changed is 3'],
    [OLD, `events = '[9999]'`, 'its event 9999 is not in the log'],
    [OLD, `events = '{}'`, 'its events are not places of the log'],
    [OLD, `events = '[5,4]'`, 'its events are not places of the log'],
    [OLD, `events = (select json_array(min(seq)) from pawl_events where internal)`, 'is internal'],
    [
      OLD,
      `events = (select json_array(min(seq)) from pawl_events where tenant = 'acme')`,
      'is of tenant "acme"',
    ],
    [`key = 'hooks'`, `secrets = zeroblob(80)`, 'its secrets open with none of the keys'],
  ])('where %s, %s', async (where, change, message) => {
    const { engine, raw } = await openCopy()
    expect(raw.prepare(`update pawl_outcomes set ${change} where ${where}`).run().changes).toBe(1)

    const differences = await differencesOf(engine)

    expect(new Set(differences.map(({ kind }) => kind))).toEqual(new Set(['outcome']))
    expect(differences.map((difference) => difference.message).join()).toContain(message)
  })
})

describe('consumers', () => {
  test('beyond the end of the log, and events put aside that are not in it', async () => {
    const { engine, raw } = await openCopy()
    const consumer = { tenant: 'acme', name: 'mine', fence: 0, leased_until: 0 }
    insertRow(raw, 'pawl_consumers', { ...consumer, position: 83 })
    insertRow(raw, 'pawl_consumers', { ...consumer, name: 'fine', position: 82 })
    const { id } = one(raw, 'select id from pawl_events where seq = 7')
    const parked = { tenant: 'acme', consumer: 'mine', error: 'e', attempts: 1, parked_at: 1 }
    insertRow(raw, 'pawl_parked', { ...parked, seq: 7, event_id: id })
    insertRow(raw, 'pawl_parked', { ...parked, seq: 8, event_id: id })

    const differences = await differencesOf(engine)

    expect(differences.map(({ kind, seq }) => [kind, seq])).toEqual([
      ['consumer', undefined],
      ['consumer', 8],
    ])
    expectFound(differences, [
      ['consumer', 'the consumer "mine" of tenant "acme" is at place 83; the log ends at 82'],
      ['consumer', `has put ${id} aside, which is not at place 8 of the log`],
    ])
  })
})

describe('what stands for pruned entries', () => {
  test.each([
    ['its state', `state = replace(state, '"version":', '"version" :')`],
    ['its hash', 'hash = zeroblob(32)'],
    ['its digest', 'digest = zeroblob(32)'],
    ['its place', 'seq = seq - 1'],
  ])('when %s has been altered', async (_, change) => {
    const { engine, raw } = await openCopy()
    await engine.prune({ events: '10s' })
    expect(await differencesOf(engine)).toEqual([])
    const { resource_id } = one(raw, 'select resource_id from pawl_bases limit 1')
    raw.prepare(`update pawl_bases set ${change} where resource_id = ?`).run(resource_id)

    const differences = await differencesOf(engine)

    const own = differences.filter((difference) => difference.resource_id === resource_id)
    expectFound(own, [['log', 'what stands for its pruned entries has been altered']])
    expect(own.length).toBe(differences.length)
  })

  test('when it is gone', async () => {
    const { engine, raw } = await openCopy()
    await engine.prune({ events: '10s' })
    raw.exec('delete from pawl_bases')
    expectFound(await differencesOf(engine), [['log', 'it has no entries in the log']])
  })
})

/** Counts on each `go`, by a step of its own. */
function counting(step: number, name = 'calm') {
  const count = assign(({ context }: { context: { n: number } }) => ({ n: context.n + step }))
  const states = { [name]: { on: { go: { actions: [count, emit({ type: 'thing.went' })] } } } }
  return createMachine({ context: { n: 0, m: 1 }, initial: name, states } as object)
}

describe('a machine', () => {
  async function changed(after: object, parts: object = {}) {
    const database = temporaryFile()
    const before = { events: ['thing.went'], ...parts }
    const engine = await openEngine({ database, ...withThings(counting(1), before) })
    const { id } = (await handleOf(engine, 'things').create({})).resource
    await handleOf(engine, 'things').send(id, { type: 'go' })
    await engine.close()
    const later = await setupEngine({ database, resources: { things: after } })
    return { id, differences: await differencesOf(later) }
  }

  const events = { events: ['thing.went'] }

  test('that was changed without a new version says something else', async () => {
    const { id, differences } = await changed(thing(counting(2), events))
    expectOnly(differences, 'replay', id)
    expect(differences[0]).toMatchObject({ seq: 2 })
    expect(differences[0]?.message).toContain(
      'its context became {"n":1,"m":1}; its machine says {"n":2,"m":1}',
    )
  })

  test('of a new version is not held against the old log', async () => {
    const { differences } = await changed(thing(counting(2), { ...events, version: 2 }))
    expect(differences).toEqual([])
  })

  test('may show other fields in its events than it did', async () => {
    const shows = (summary: string[], hidden: string[]) => ({ ...events, summary, private: hidden })
    for (const [one, other] of [
      [shows(['n'], []), shows(['m'], ['n'])],
      [shows(['n', 'm'], []), shows([], [])],
      [events, shows(['n'], ['m'])],
    ] as const) {
      expect((await changed(thing(counting(1), other), one)).differences).toEqual([])
    }
  })
})

describe('a file that is damaged', () => {
  /** Opens a copy after a page has been overwritten: the one that holds a row of a table. */
  async function openDamaged(table: string) {
    const database = temporaryFile()
    copyFileSync(rich.file, database)
    const raw = openRaw(database)
    const pages = `select pgoffset, pgsize from dbstat where name = ? and pagetype = 'leaf' order by pageno`
    const page = (raw.prepare(pages).all(table) as { pgoffset: number; pgsize: number }[])[1]
    raw.close()
    const file = openSync(database, 'r+')
    writeSync(
      file,
      Buffer.alloc(page?.pgsize ?? 0, 0xff),
      0,
      page?.pgsize ?? 0,
      page?.pgoffset ?? 0,
    )
    closeSync(file)
    return setupEngine({ database, now: rich.now, ...OPTIONS })
  }

  test.each(['pawl_events', 'pawl_resources'])(
    'in %s: the rest is checked all the same',
    async (table) => {
      const engine = await openDamaged(table)

      const { ok, differences, checked } = await engine.verify()

      expect(ok).toBe(false)
      expect(new Set(differences.map(({ kind }) => kind))).toEqual(new Set(['storage']))
      expect(checked.resources).toBeGreaterThan(15)
      expect(checked.events).toBeGreaterThan(35)
    },
  )
})

describe('while it runs', () => {
  test('it tells how far it has come', async () => {
    const { engine, things, id } = await openThing(counting(1), { events: ['thing.went'] })
    await Promise.all(Array.from({ length: 2500 }, () => things.send(id, { type: 'go' })))
    const seen: { events: number; resources: number }[] = []

    await engine.verify({
      onProgress: (so: { events: number; resources: number }) => seen.push(so),
    })

    expect(seen.length).toBeGreaterThanOrEqual(3)
    expect(seen.at(-1)).toEqual({ events: 2501, resources: 1 })
    expect(seen.map(({ events }) => events)).toEqual(
      seen.map(({ events }) => events).sort((a, b) => a - b),
    )
  })

  test('others write, and it finds nothing that is not there', async () => {
    const database = temporaryFile()
    const resources = { ...agentPlatform(), things: thing(counting(1), { events: ['thing.went'] }) }
    const [engine, other] = [
      await setupRealEngine({ database, resources, encryptionKeys: [KEY] }),
      await setupRealEngine({ database, resources, encryptionKeys: [KEY] }),
    ]
    await Promise.all([engine.start(), other.start()])
    let writers = 2
    const writing = [engine, other].map(async (each, index) => {
      await writeAlong(each, index)
      writers -= 1
    })
    let checks = 0
    for (; writers > 0; checks += 1) expect(await differencesOf(engine)).toEqual([])
    expect(checks).toBeGreaterThan(2)
    await Promise.all(writing)
    expect(await differencesOf(other)).toEqual([])
  })
})

const KEY = Buffer.alloc(32, 3).toString('base64')

/** Writes something of everything, again and again. */
async function writeAlong(engine: AnyEngine, index: number): Promise<void> {
  const task = await makeTask(engine)
  for (let n = 0; n < 40; n += 1) {
    const run = await makeRunningRun(engine, { task_id: task.id })
    const { id } = (
      await handleOf(engine, 'things').create({}, { idempotencyKey: `${index} ${n}` })
    ).resource
    await Promise.all(
      Array.from({ length: 5 }, () => handleOf(engine, 'things').send(id, { type: 'go' })),
    )
    await send(engine, 'task_run', run.id, 'complete')
    await makeSession(engine)
  }
}

describe('options', () => {
  test.each([[{ onProgress: 1 }], [{ onProgres: () => {} }], [null], ['all']])(
    '%s',
    async (options) => {
      const engine: AnyTestEngine = await setupEngine()
      const { code } = await failureOf(() => engine.verify(options as never))
      expect(code).toBe('invalid_input')
    },
  )

  test('after the end', async () => {
    const engine = await openEngine()
    await engine.close()
    expect((await failureOf(() => engine.verify())).code).toBe('closed')
  })
})
