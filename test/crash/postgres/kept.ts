/** Is all that was acknowledged in a PostgreSQL database, and nothing by halves? @module */

import type pg from 'pg'
import { expect } from 'vitest'
import type { Line } from '../acknowledgements.ts'
import { type Book, createBook, enter } from '../aftermath.ts'

/** Checks what the tables say against what callers were told. */
export async function expectKept(raw: pg.Pool, lines: readonly Line[]): Promise<void> {
  const book = createBook()
  enter(book, lines)
  await expectAcknowledged(raw, book)
  await expectWhole(raw)
  await expectNotes(raw, book)
  await expectOnce(raw)
  await expectCopies(raw)
}

async function expectAcknowledged(raw: pg.Pool, { versions, events }: Book): Promise<void> {
  const stored = new Map(await pairs(raw, 'select id, version::int from pawl_resources'))
  const lost = [...versions].filter(([id, version]) => Number(stored.get(id) ?? 0) < version)
  expect({ lost }).toEqual({ lost: [] })
  const log = new Map(await pairs(raw, `select seq::int, id || ' ' || type from pawl_events`))
  const missing = [...events].filter(([seq, { id, type }]) => log.get(seq) !== `${id} ${type}`)
  expect({ missing }).toEqual({ missing: [] })
  expect([...log.keys()].toSorted((a, b) => Number(a) - Number(b))).toEqual(
    Array.from({ length: log.size }, (_, index) => index + 1),
  )
}

/** No hole in the versions of a resource; no state without its event, no event without its state. */
async function expectWhole(raw: pg.Pool): Promise<void> {
  const { rows: halves } = await raw.query(
    `select r.id, r.version, e.resource_id, e.highest, e.versions from pawl_resources r
     full outer join (
       select resource_id, max(resource_version) highest, count(distinct resource_version) versions
       from pawl_events group by resource_id
     ) e on e.resource_id = r.id
     where r.version is distinct from e.highest or e.highest is distinct from e.versions`,
  )
  expect({ halves }).toEqual({ halves: [] })
}

/** The two rows of a transaction and the agent that it creates: all or nothing, and there if acknowledged. */
async function expectNotes(raw: pg.Pool, { notes, undone }: Book): Promise<void> {
  const rows = new Map(
    await pairs(raw, 'select id, count(*)::int from notes group by id order by id'),
  )
  const agents = await pairs(
    raw,
    `select data::json ->> 'name', 2 from pawl_events
     where type = 'agent.created' and data::json ->> 'description' = 'noted' order by 1`,
  )
  expect([...rows]).toEqual(agents)
  expect([...notes].filter((name) => !rows.has(name))).toEqual([])
  expect([...undone].filter((name) => rows.has(name))).toEqual([])
}

/** Each call has a name of its own, by which it is told apart: none has happened twice. */
async function expectOnce(raw: pg.Pool): Promise<void> {
  const { rows: twice } = await raw.query(
    `select data::json ->> 'name' as name from pawl_events where type = 'agent.created'
     group by 1 having count(*) > 1`,
  )
  expect({ twice }).toEqual({ twice: [] })
}

/** The consumer has copied all of its events, each once and in order. */
async function expectCopies(raw: pg.Pool): Promise<void> {
  const copies = await pairs(raw, 'select seq::int, event_id from copies order by id')
  const agents = `select seq::int, id from pawl_events where type like 'agent.%' order by seq`
  expect(copies).toEqual(await pairs(raw, agents))
}

async function pairs(raw: pg.Pool, text: string): Promise<(readonly [unknown, unknown])[]> {
  const { rows } = await raw.query({ text, rowMode: 'array' })
  return rows.map(([first, second]) => [first, second])
}
