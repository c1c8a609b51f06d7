/** How is a database told that is still being copied into, so that nobody takes it for a whole one? @module */

import { sql } from 'kysely'
import { PawlError } from '../../errors.ts'
import { type CopiedRest, copiedTables } from '../copied-tables.ts'
import { changedMeanwhile, otherDatabase, writtenByOthers } from './import-refusals.ts'
import type { Session } from './session.ts'
import type { Slot, Statements } from './statement.ts'

/** What a database is for a copy: one that is to be filled, or one that an earlier copy has filled. */
export type Target = 'unfinished' | 'whole'

type Log = CopiedRest['log']

/** Marks a database as long as it is being copied into. */
export interface Mark {
  /** Throws `invalid_input` where there is another database, or the source is not what it was. */
  begin(session: Session, log: Log): Promise<Target>
  /** Throws `invalid_input` where the mark is gone. */
  end(session: Session): Promise<void>
}

// Named for whoever comes across it.
const NAME = 'pawl_unfinished_copy'

/** Prepares the mark. */
export function createMark(statements: Statements): Mark {
  const { prepare, schema, table } = statements
  const mark = sql.id(schema, NAME)
  const held = holdingLog(statements)
  const begun = prepare(() => sql<Log>`select identity, pruned, head from ${mark}`)
  const create = prepare(
    () => sql`create table ${mark} (identity text, pruned bigint, head bigint)`,
  )
  const note = prepare(
    (slot: Slot<keyof Log>) => sql`
      insert into ${mark} values (${slot('identity')}, ${slot('pruned')}, ${slot('head')})`,
  )
  const empty = prepare(() => sql`delete from ${table('pawl_machines')}`)
  const drop = prepare(() => sql`drop table ${mark}`)
  return {
    begin: async (session, log) => {
      // Whoever else begins a copy waits here.
      const target = await held.get(session, {})
      if (await isMarked(session, schema)) {
        requireSame(await begun.get(session, {}), log, schema)
        return 'unfinished'
      }
      if (target?.identity === log.identity) return 'whole'
      if (target === undefined || target.isUsed) throw otherDatabase(schema)
      await create.run(session, {})
      await note.run(session, log)
      // An engine that was opened there and never used has noted its machines.
      await empty.run(session, {})
      return 'unfinished'
    },
    end: async (session) => {
      // Whatever another copy has ended may be in use by now.
      await held.get(session, {})
      if (!(await isMarked(session, schema))) throw writtenByOthers(schema)
      await drop.run(session, {})
    },
  }
}

/** Throws `storage_failed` for a database that is still being copied into. */
export async function requireWhole(session: Session, schema: string): Promise<void> {
  if (!(await isMarked(session, schema))) return
  const message = `open: the copy into the schema "${schema}" has not ended; run copy again, it goes on from there`
  throw new PawlError('storage_failed', message, { operation: 'open' })
}

async function isMarked(session: Session, schema: string): Promise<boolean> {
  const { rows } = await session.once(
    `select 1 where to_regclass(format('%I.%I', $1::text, $2::text)) is not null`,
    [schema, NAME],
  )
  return rows.length > 0
}

function requireSame(begun: Log | undefined, log: Log, schema: string): void {
  if (begun?.identity !== log.identity) throw otherDatabase(schema)
  if (begun.head !== log.head || begun.pruned !== log.pruned) throw changedMeanwhile(schema)
}

function holdingLog({ prepare, table }: Statements) {
  const used = copiedTables
    .filter(({ name }) => name !== 'pawl_machines')
    .map(({ name }) => sql`exists (select 1 from ${table(name)})`)
  return prepare(
    () => sql<{ identity: string; isUsed: boolean }>`
      select identity, head > 0 or ${sql.join(used, sql` or `)} as "isUsed"
      from ${table('pawl_log')} where id = 1 for update`,
  )
}
