import { setImmediate } from 'node:timers/promises'
import { createEngine } from '../../src/index.ts'
import { COPIED, COPIER, type CopyTables, LEASE_MS } from './copies.ts'

// Patient, so that a machine that is busy with other things parks nothing.
const options = { type: COPIED, lease: LEASE_MS, backoff: 1, tries: 1_000_000 } as const

async function run(database: string): Promise<void> {
  const engine = await createEngine({ database, durability: 'relaxed' })
  await engine.consume(COPIER, options, async ({ id, seq, type }, { tx, attempt }) => {
    process.send?.(seq)
    const db = tx.db.withTables<CopyTables>()
    await db.insertInto('copies').values({ event_id: id, seq, attempt }).execute()
    if (type === 'task.created') await tx.agents.create({ name: id })
    await setImmediate()
    if (seq % 7 === 0 && attempt === 1) throw new Error('not at the first time')
  })
}

void run(process.argv[2] ?? '')
