import type { Duration } from '../../src/index.ts'
import { COPIED, COPIER, type CopyTables } from './copies.ts'
import type { PlatformEngine } from './workload.ts'

/** How the consumer copes with failures. */
interface Patience {
  readonly tries?: number
  readonly backoff?: number
  readonly lease?: Duration
}

/** Makes the tables that are written beside the engine's, where they are missing. */
export function makeOwnTables(engine: PlatformEngine): Promise<void> {
  return engine.transaction(async (tx) => {
    const { schema } = tx.db
    await schema.createTable('notes').ifNotExists().addColumn('id', 'text').execute()
    const copies = schema.createTable('copies').ifNotExists().addColumn('event_id', 'text')
    await copies.addColumn('seq', 'integer').addColumn('attempt', 'integer').execute()
  })
}

/** Copies events, each in the transaction that moves the consumer on, until it is stopped. */
export function copyTasks(
  engine: PlatformEngine,
  signal: AbortSignal,
  patience: Patience,
): Promise<void> {
  const options = { type: COPIED, signal, ...patience } as const
  return engine.consume(COPIER, options, async ({ id, seq }, { tx, attempt }) => {
    const db = tx.db.withTables<CopyTables>()
    await db.insertInto('copies').values({ event_id: id, seq, attempt }).execute()
  })
}
