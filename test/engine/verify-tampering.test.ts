import type Sqlite from 'better-sqlite3'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type AnyTestEngine, openEngine, type Verification } from '../support/engine.ts'
import { insertRow, type Row, rowsOf } from '../support/raw.ts'
import { fillALittle, withShapes } from '../support/shapes.ts'
import { connect, flipped, type Place, writeAt } from '../support/tampering.ts'
import { makeTemporaryDirectory, removeDirectory } from '../support/temp.ts'

// One database for the whole file: each test puts back what it has changed.
const directory = makeTemporaryDirectory()
const database = `${directory}/pawl.db`
let engine: AnyTestEngine
let raw: Sqlite.Database

beforeAll(async () => {
  engine = await openEngine({ database, durability: 'relaxed', ...withShapes() })
  await fillALittle(engine)
  await fillALittle(engine.tenant('acme'))
  await engine.clock.advance('2m')
  raw = connect(database)
})

afterAll(async () => {
  raw.close()
  await engine.close()
  removeDirectory(directory)
})

/** Verifies a database that has been tampered with, and then again when that has been undone. */
async function verifyWhile(tamper: () => void, undo: () => void): Promise<Verification> {
  tamper()
  try {
    return await engine.verify()
  } finally {
    undo()
  }
}

/** Changes one value, verifies, and puts it back. */
function verifyWith(place: Place, value: unknown): Promise<Verification> {
  const back = { ...place, rowid: isKey(place.column) ? Number(value) : place.rowid }
  return verifyWhile(
    () => writeAt(raw, place, value),
    () => writeAt(raw, back, place.value),
  )
}

/** Whether a column is the key of its rows, so that a changed value moves the row. */
function isKey(column: string): boolean {
  return column === 'seq' || column === 'position'
}

function expectFound({ ok, differences }: Verification, id: unknown, label: string): void {
  expect(ok, label).toBe(false)
  expect(
    differences.map((difference) => difference.resource_id),
    label,
  ).toContain(id)
  for (const { kind, message } of differences) {
    expect(typeof kind, label).toBe('string')
    expect(message.length, label).toBeGreaterThan(0)
  }
}

async function expectSound(): Promise<void> {
  expect(await engine.verify()).toMatchObject({ ok: true, differences: [] })
}

const OWNERS = { pawl_events: 'resource_id', pawl_resources: 'id' } as const

type Table = keyof typeof OWNERS

/** The columns of a table of this version, whatever it has. */
function columnsOf(table: string): string[] {
  return (raw.pragma(`table_info(${table})`) as { name: string }[]).map(({ name }) => name)
}

function placesOf(table: Table, column: string): (Place & { readonly id: unknown })[] {
  return rowsOf(raw, table)
    .filter((row) => row[column] !== null)
    .map((row) => ({
      ...{ table, column, rowid: Number(row.rowid), value: row[column] },
      id: row[OWNERS[table]],
    }))
}

/** The first, the last and two others of a list. */
function some<T>(list: readonly T[]): T[] {
  const picks = [0, Math.floor(list.length / 3), Math.floor((2 * list.length) / 3), list.length - 1]
  return [...new Set(picks)].flatMap((index) => list.slice(index, index + 1))
}

test('the untouched database is sound, and has something in every column', async () => {
  await expectSound()
  for (const table of Object.keys(OWNERS) as Table[]) {
    expect(columnsOf(table).length).toBeGreaterThan(10)
    for (const column of columnsOf(table)) {
      expect(placesOf(table, column).length, `${table}.${column}`).toBeGreaterThan(0)
    }
  }
})

describe.each(Object.keys(OWNERS) as Table[])('in %s', (table) => {
  test('a changed byte or bit in any column is found', async () => {
    for (const column of columnsOf(table)) {
      for (const [turn, { id, ...place }] of some(placesOf(table, column)).entries()) {
        const value = flipped(place, turn / 3, turn % 2 === 0 ? 0 : 4)
        const label = `${table}.${column} of row ${place.rowid}`
        expectFound(await verifyWith(place, value), id, label)
      }
    }
    await expectSound()
  })

  test('a value that is taken away is found, where the schema lets it go', async () => {
    const nullable = (raw.pragma(`table_info(${table})`) as { name: string; notnull: 0 | 1 }[])
      .filter(({ name, notnull }) => notnull === 0 && !isKey(name))
      .map(({ name }) => name)
    expect(nullable.length).toBeGreaterThan(0)

    for (const column of nullable) {
      for (const { id, ...place } of some(placesOf(table, column))) {
        const label = `${table}.${column} of row ${place.rowid}`
        expectFound(await verifyWith(place, null), id, label)
      }
    }
    await expectSound()
  })

  test('a byte that makes a text no UTF-8 is found', async () => {
    for (const column of columnsOf(table)) {
      const [first] = placesOf(table, column).filter(({ value }) => typeof value === 'string')
      if (first === undefined) continue
      const { id, ...place } = first
      const value = flipped(place, 0.5, 7)
      expectFound(await verifyWith(place, value), id, `${table}.${column}`)
    }
    await expectSound()
  })

  test('any bit of anything is found', { timeout: 60_000 }, async () => {
    const places = columnsOf(table).flatMap((column) => placesOf(table, column))
    const property = fc.asyncProperty(
      fc.constantFrom(...places),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.nat(6),
      async ({ id, ...place }, where, bit) => {
        const value = flipped(place, where, bit)
        expectFound(await verifyWith(place, value), id, JSON.stringify(place))
      },
    )

    await fc.assert(property, { numRuns: Number(process.env.PAWL_NUM_RUNS ?? 60) })
    await expectSound()
  })

  test('a row that is gone is found, whichever it is', async () => {
    const rows = rowsOf(raw, table)
    const picked = rows.filter((_, index) => index % 3 === 0).concat(rows.slice(-2))
    for (const { rowid, ...row } of picked) {
      const verification = await verifyWhile(
        () => raw.prepare(`delete from ${table} where rowid = ?`).run(rowid),
        () => insertRow(raw, table, row),
      )
      expectFound(verification, row[OWNERS[table]], `${table} row ${rowid}`)
    }
    await expectSound()
  })
})

describe('in the log', () => {
  const events = () => rowsOf(raw, 'pawl_events')

  test('the place of a difference is named', async () => {
    for (const { id, ...place } of some(placesOf('pawl_events', 'data'))) {
      const { differences } = await verifyWith(place, flipped(place, 0.5, 0))
      const seqs = differences.filter(({ resource_id }) => resource_id === id)
      expect(seqs.map(({ seq }) => seq)).toContain(place.rowid)
    }
  })

  test('a tail that is gone is found, however long it is', async () => {
    const all = events()
    for (const length of [1, 2, 5, all.length]) {
      const tail = all.slice(-length)
      const verification = await verifyWhile(
        () => raw.prepare('delete from pawl_events where seq > ?').run(all.length - length),
        () => putBack('pawl_events', tail),
      )
      expectFound(verification, tail[0]?.resource_id, `a tail of ${length}`)
    }
    await expectSound()
  })

  test('entries whose contents have been exchanged are found', async () => {
    const [one, other] = events().filter(({ type }) => type === 'session.queued')
    if (!(one && other)) throw new Error('there are no two sessions')
    const verification = await verifyWhile(
      () => exchange(one, other, 'data'),
      () => exchange({ ...one, data: other.data }, { ...other, data: one.data }, 'data'),
    )

    expectFound(verification, one.resource_id, 'one')
    expectFound(verification, other.resource_id, 'other')
  })

  test('an entry that nobody wrote is found', async () => {
    const all = events()
    const { rowid: _, ...last } = all.at(-1) ?? {}
    const forged = { ...last, seq: all.length + 1, id: 'evt_forged' }
    const verification = await verifyWhile(
      () => insertRow(raw, 'pawl_events', forged),
      () => raw.prepare("delete from pawl_events where id = 'evt_forged'").run(),
    )

    expectFound(verification, last.resource_id, 'forged')
    await expectSound()
  })

  function exchange(one: Row, other: Row, column: string): void {
    const put = raw.prepare(`update pawl_events set ${column} = ? where seq = ?`)
    put.run(other[column], one.seq)
    put.run(one[column], other.seq)
  }
})

describe('of resources', () => {
  const TRACES = [
    ['pawl_events', 'resource_id'],
    ['pawl_timers', 'resource_id'],
    ['pawl_resources', 'id'],
  ] as const

  test('one that is gone with its history and timers is found, the last one too', async () => {
    const ids = rowsOf(raw, 'pawl_resources').map(({ id }) => id)
    for (const id of some(ids)) {
      const kept = TRACES.map(([table, owner]) =>
        rowsOf(raw, table).filter((row) => row[owner] === id),
      )
      const verification = await verifyWhile(
        () => {
          for (const [table, owner] of TRACES) {
            raw.prepare(`delete from ${table} where ${owner} = ?`).run(id)
          }
        },
        () => {
          for (const [index, [table]] of TRACES.entries()) putBack(table, kept[index] ?? [])
        },
      )
      expect(verification.ok, String(id)).toBe(false)
      expect(verification.differences.length).toBeGreaterThan(0)
    }
    await expectSound()
  })

  test('all that are gone are found', async () => {
    const kept = TRACES.map(([table]) => rowsOf(raw, table))
    const { ok } = await verifyWhile(
      () => {
        for (const [table] of TRACES) raw.exec(`delete from ${table}`)
      },
      () => {
        for (const [index, [table]] of TRACES.entries()) putBack(table, kept[index] ?? [])
      },
    )

    expect(ok).toBe(false)
    await expectSound()
  })

  test('every one that differs is told, not only the first', async () => {
    const places = some(placesOf('pawl_resources', 'context'))
    const verification = await verifyWhile(
      () => {
        for (const place of places) writeAt(raw, place, flipped(place, 0.5, 1))
      },
      () => {
        for (const place of places) writeAt(raw, place, place.value)
      },
    )

    for (const { id } of places) expectFound(verification, id, String(id))
  })
})

describe('of timers', () => {
  const timers = () => rowsOf(raw, 'pawl_timers')

  test('each one that is missing is found', async () => {
    expect(timers().length).toBeGreaterThan(2)
    for (const { rowid, ...row } of timers()) {
      const verification = await verifyWhile(
        () => raw.prepare('delete from pawl_timers where rowid = ?').run(rowid),
        () => insertRow(raw, 'pawl_timers', row),
      )
      expectFound(verification, row.resource_id, `timer ${rowid}`)
    }
    await expectSound()
  })

  test('one that nobody set is found', async () => {
    const idle = rowsOf(raw, 'pawl_resources').find(({ type }) => type === 'agent')
    for (const { rowid: _, ...row } of some(timers())) {
      for (const resource_id of [row.resource_id, idle?.id]) {
        const extra = { ...row, resource_id, name: 'forged', position: 1_000_000 }
        const verification = await verifyWhile(
          () => insertRow(raw, 'pawl_timers', extra),
          () => raw.prepare('delete from pawl_timers where position = 1000000').run(),
        )
        expectFound(verification, resource_id, String(resource_id))
      }
    }
    await expectSound()
  })

  test('one that is due at another time, or sends something else, is found', async () => {
    for (const { rowid, ...row } of timers()) {
      for (const column of ['due_at', 'event']) {
        const place = { table: 'pawl_timers', column, rowid: Number(rowid), value: row[column] }
        const verification = await verifyWith(place, flipped(place, 0.5, 2))
        expectFound(verification, row.resource_id, `${column} of timer ${rowid}`)
      }
    }
    await expectSound()
  })
})

function putBack(table: string, rows: readonly Row[]): void {
  for (const { rowid: _, ...row } of rows) insertRow(raw, table, row)
}
