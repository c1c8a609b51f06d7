/** How does PostgreSQL write what belongs to resources and calls: secrets, references, outcomes? @module */

import { sql } from 'kysely'
import type { OutcomeRow, ReferenceRow, SecretChange, SecretRow } from '../../core/rows.ts'
import type { Writes } from '../store.ts'
import type { Book } from './answers.ts'
import {
  type Columns,
  columnNames,
  exactly,
  fieldsOf,
  recordset,
  toRecordset,
} from './recordset.ts'
import type { Tables } from './schema.ts'
import type { Session } from './session.ts'
import { anyOf, type Slot, type Statements, unlessEmpty } from './statement.ts'

/** Writes lists of changes: of those to the same thing, the last one counts. */
export interface Belongings {
  secrets(session: Session, changes: readonly SecretChange[]): readonly Promise<unknown>[]
  references(session: Session, changes: Writes['references']): readonly Promise<unknown>[]
  /** Fails with a conflict where a key has been used since it was looked for. */
  outcomes(session: Session, rows: readonly OutcomeRow[], book: Book): Promise<unknown>
}

/** Prepares the statements that write them. */
export function createBelongings(statements: Statements): Belongings {
  return {
    secrets: secretWriter(statements),
    references: referenceWriter(statements),
    outcomes: outcomeWriter(statements),
  }
}

function secretWriter(statements: Statements): Belongings['secrets'] {
  const eraseAll = statements.prepare((slot: Slot<'ids'>) =>
    statements.queries
      .deleteFrom('pawl_secrets')
      .where('resource_id', '=', anyOf<string>(slot('ids'), 'text')),
  )
  const erase = removing(statements, 'pawl_secrets', 'name')
  const set = settingSecrets(statements)
  return (session, changes) => {
    const { emptied, kept, erased } = summedSecrets(changes)
    return [
      unlessEmpty(emptied, (ids) => eraseAll.run(session, { ids })),
      unlessEmpty(erased, (places) =>
        erase.run(session, {
          ids: places.map(({ resourceId }) => resourceId),
          names: places.map(({ name }) => name),
        }),
      ),
      unlessEmpty(kept, (rows) => set.run(session, { rows: toRecordset(SECRET, rows) })),
    ]
  }
}

type Place = Pick<SecretRow, 'resourceId' | 'name'>

/** What changes come to; what is set is written after what is erased. */
function summedSecrets(changes: readonly SecretChange[]) {
  const emptied = new Set<string>()
  const erased = new Map<string, Place>()
  let kept = new Map<string, SecretRow>()
  for (const change of changes) {
    if (change.change === 'set') kept.set(keyOf(change.secret), change.secret)
    else if (change.name !== null) {
      const place = { resourceId: change.resourceId, name: change.name }
      kept.delete(keyOf(place))
      erased.set(keyOf(place), place)
    } else {
      emptied.add(change.resourceId)
      kept = new Map([...kept].filter(([, { resourceId }]) => resourceId !== change.resourceId))
    }
  }
  return { emptied: [...emptied], kept: [...kept.values()], erased: [...erased.values()] }
}

function keyOf({ resourceId, name }: Place): string {
  return JSON.stringify([resourceId, name])
}

const SECRET: Columns = {
  resourceId: ['resource_id', 'text'],
  name: ['name', 'text'],
  envelope: ['envelope', 'bytea'],
}

function settingSecrets({ table, prepare }: Statements) {
  return prepare(
    (slot: Slot<'rows'>) => sql`
      insert into ${table('pawl_secrets')} (${columnNames(SECRET)})
      select ${fieldsOf(SECRET, 'row')} from ${recordset(SECRET, slot('rows'), 'row')}
      on conflict (resource_id, name) do update set envelope = excluded.envelope`,
  )
}

/** Rows of resources, by their names. */
function removing({ table, prepare }: Statements, name: keyof Tables, column: string) {
  return prepare(
    (slot: Slot<'ids' | 'names'>) => sql`
      delete from ${table(name)} where (resource_id, ${sql.id(column)}) in (
        select * from unnest(${slot('ids')}::text[], ${slot('names')}::text[])
      )`,
  )
}

function referenceWriter(statements: Statements): Belongings['references'] {
  const unset = removing(statements, 'pawl_references', 'field')
  const set = settingReferences(statements)
  return (session, changes) => {
    const last = new Map(
      changes.map((change) => [JSON.stringify([change.resourceId, change.field]), change]),
    )
    const all = [...last.values()]
    const kept = all.filter((one): one is ReferenceRow => one.targetId !== null)
    const gone = all.filter(({ targetId }) => targetId === null)
    return [
      unlessEmpty(gone, (places) =>
        unset.run(session, {
          ids: places.map(({ resourceId }) => resourceId),
          names: places.map(({ field }) => field),
        }),
      ),
      unlessEmpty(kept, (rows) => set.run(session, { rows: toRecordset(REFERENCE, rows) })),
    ]
  }
}

const REFERENCE: Columns = {
  resourceId: ['resource_id', 'text'],
  field: ['field', 'text'],
  type: ['type', 'text'],
  targetId: ['target_id', 'text'],
}

/** Written after the resources: these say whether they are still live. */
function settingReferences({ table, prepare }: Statements) {
  return prepare(
    (slot: Slot<'rows'>) => sql`
      insert into ${table('pawl_references')} (${columnNames(REFERENCE)}, live, position)
      select ${fieldsOf(REFERENCE, 'row')}, 1 - resource.final, resource.position
      from ${recordset(REFERENCE, slot('rows'), 'row')}
      join ${table('pawl_resources')} as resource on resource.id = "row"."resourceId"
      on conflict (resource_id, field) do update
      set type = excluded.type, target_id = excluded.target_id, live = excluded.live`,
  )
}

function outcomeWriter(statements: Statements): Belongings['outcomes'] {
  const insert = insertingOutcomes(statements)
  return (session, rows, book) => {
    const last = new Map(rows.map((row) => [JSON.stringify([row.tenant, row.key]), row]))
    const records = [...last.values()].map((row) => {
      const madeAt = book.madeAt(row.tenant, row.key)
      return { ...row, events: JSON.stringify(row.events), madeAt, asked: madeAt !== undefined }
    })
    return unlessEmpty(records, (all) =>
      insert.run(session, { rows: toRecordset(EXPECTED, all), count: all.length }),
    )
  }
}

const OUTCOME: Columns = {
  tenant: ['tenant', 'text'],
  key: ['key', 'text'],
  fingerprint: ['fingerprint', 'text'],
  resource: ['resource', 'text'],
  changed: ['changed', 'smallint'],
  events: ['events', 'text'],
  secrets: ['secrets', 'bytea'],
  createdAt: ['created_at', 'bigint'],
}

// When the outcome that is replaced was made; null where there is to be none. Where nobody asked, it may be any.
const EXPECTED: Columns = {
  ...OUTCOME,
  madeAt: ['made_at', 'bigint'],
  asked: ['asked', 'smallint'],
}

function insertingOutcomes({ table, prepare }: Statements) {
  const places = sql.join(
    Object.values(OUTCOME).map(([column]) => sql`${sql.id(column)} = excluded.${sql.id(column)}`),
  )
  const insert = (slot: Slot<'rows'>) => sql`
      insert into ${table('pawl_outcomes')} as outcome (${columnNames(OUTCOME)})
      select ${fieldsOf(OUTCOME, 'row')} from ${recordset(EXPECTED, slot('rows'), 'row')}
      on conflict (tenant, key) do update set ${places}
      where exists (
        select 1 from ${recordset(EXPECTED, slot('rows'), 'expected')}
        where expected.tenant = excluded.tenant and expected.key = excluded.key
          and (expected.asked = 0 or expected."madeAt" = outcome.created_at)
      )`
  return prepare((slot: Slot<'rows' | 'count'>) => exactly(insert(slot), slot('count')))
}
