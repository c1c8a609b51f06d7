/** What people write today: XState decides, a Kysely transaction stores, one per change. @module */

import { type Dialect, type Generated, Kysely, SqliteDialect, type Transaction } from 'kysely'
import { emit, setup, transition } from 'xstate'
import type { Command, Contender, Durability } from './measure.ts'
import { type EventRow, eventOf, idOf, openRows, type ResourceRow } from './rows.ts'

interface Tables {
  readonly resources: ResourceRow
  readonly events: EventRow & { readonly seq: Generated<number> }
}

const machine = setup({
  types: {
    context: {} as Record<string, unknown>,
    events: {} as { type: Command },
    emitted: {} as { type: 'task.updated' },
  },
  actions: { report: emit({ type: 'task.updated' }) },
}).createMachine({
  context: {},
  initial: 'learning',
  states: {
    learning: { on: { promote: { target: 'test', actions: 'report' } } },
    test: {
      on: {
        promote: { target: 'live', actions: 'report' },
        demote: { target: 'learning', actions: 'report' },
      },
    },
    live: { on: { demote: { target: 'test', actions: 'report' } } },
  },
})

// XState's own type of the actions does not list all that it returns.
interface Effect {
  readonly type: string
  readonly params: { readonly event: { readonly type: string } }
}

/** Opens the naive peer. */
export function openNaive(file: string, durability: Durability): Contender {
  return naiveOn(new SqliteDialect({ database: openRows(file, durability) }))
}

/** The naive peer on a database that has its rows. */
export function naiveOn(dialect: Dialect): Contender {
  const db = new Kysely<Tables>({ dialect })
  return {
    change: (task, command) =>
      db.transaction().execute((trx) => change(trx, idOf(task), { type: command })),
    close: () => db.destroy(),
  }
}

async function change(
  trx: Transaction<Tables>,
  id: string,
  command: { readonly type: Command },
): Promise<ResourceRow> {
  const row = await trx
    .selectFrom('resources')
    .selectAll()
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
  const before = machine.resolveState({ value: row.status, context: JSON.parse(row.data) })
  if (!before.can(command)) throw new Error(`${id} does not accept ${command.type}`)
  const [after, actions] = transition(machine, before, command)
  const version = row.version + 1
  const next = { ...row, status: String(after.value), version, updated_at: Date.now() }
  const written = await trx
    .updateTable('resources')
    .set({ status: next.status, version, updated_at: next.updated_at })
    .where('id', '=', id)
    .where('version', '=', row.version)
    .executeTakeFirst()
  if (written.numUpdatedRows !== 1n) throw new Error(`${id} was changed by someone else`)
  for (const { type, params } of actions as readonly Effect[]) {
    if (type !== 'xstate.emit') continue
    const event = eventOf(next, after.context, params.event.type)
    await trx.insertInto('events').values(event).execute()
  }
  return next
}
