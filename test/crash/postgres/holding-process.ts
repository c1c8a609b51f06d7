import { createEngine } from '../../../src/index.ts'
import { postgres } from '../../../src/postgres.ts'
import type { Pool } from '../../../src/store/postgres/session.ts'
import { asPool, createPool, isCommit } from './connections.ts'
import { CONSUMER, HELD_OPTIONS, type Holding, LEASE_MS, STOPPED } from './holding.ts'

/** A pool that calls back before anything is committed. */
function watched(pool: Pool, beforeCommit: () => void): Pool {
  const connect: Pool['connect'] = async () => {
    const client = await pool.connect()
    return {
      query: (config) => {
        if (isCommit(config.text)) beforeCommit()
        return client.query(config)
      },
      release: (destroy) => client.release(destroy),
      on: (event, listener) => client.on?.(event, listener),
      off: (event, listener) => client.off?.(event, listener),
    }
  }
  return { connect, end: () => pool.end() }
}

async function run({ schema, mode }: Holding): Promise<void> {
  let isStopping = false
  const beforeCommit = () => {
    if (isStopping) process.kill(process.pid, 'SIGSTOP')
    isStopping = false
  }
  const pool = watched(asPool(createPool(schema)), beforeCommit)
  const engine = await createEngine({ ...HELD_OPTIONS, database: postgres(pool, { schema }) })
  if (mode === 'leases') {
    void engine.consume(CONSUMER, { lease: LEASE_MS }, () => {
      process.send?.('consuming')
      return new Promise(() => {})
    })
    await engine.start()
    return
  }
  isStopping = true
  const call = engine.agents.create({ name: STOPPED }, { idempotencyKey: STOPPED })
  process.send?.(
    await call.then(
      () => 'done',
      (error: { code: string }) => error.code,
    ),
  )
}

void run(JSON.parse(process.argv[2] ?? '{}'))
