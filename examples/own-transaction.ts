/** Commands and rows of the application in one transaction: both happen, or neither does. */

import Database from 'better-sqlite3'
import { createEngine, isPawlError } from 'pawl'

// The application's own database: the engine keeps its tables beside those that are there.
const database = new Database(':memory:')
database.exec('create table orders (id integer primary key, session_id text, paid integer)')
const engine = await createEngine({ database })

/** What the application knows of its table; Kysely checks every query against it. */
interface Order {
  readonly id: number
  readonly session_id: string
  readonly paid: number
}

/** Places an order and creates the session that serves it. */
function placeOrder(id: number, paid: boolean): Promise<string> {
  return engine.transaction(async (tx) => {
    const { resource: session } = await tx.sessions.create()
    await tx.db
      .withTables<{ orders: Order }>()
      .insertInto('orders')
      .values({ id, session_id: session.id, paid: Number(paid) })
      .execute()
    if (!paid) throw new Error(`order ${id} is not paid`)
    await tx.sessions.send(session.id, { type: 'start' })
    return session.id
  })
}

async function report(): Promise<void> {
  const orders = database.prepare('select count(*) from orders').pluck().get()
  const { data: events } = await engine.events.list({ order: 'asc' })
  console.log(`${orders} order, events: ${events.map(({ type }) => type).join(', ')}`)
}

await placeOrder(1, true)
await report()

// A throw undoes everything: the row, the session, its event and its timer.
await placeOrder(2, false).catch((error: Error) => console.log(error.message))
await report()

// A refusal is an error like any other: caught, the transaction goes on without it.
await engine.transaction(async (tx) => {
  const { resource: session } = await tx.sessions.create()
  const refused = await tx.sessions.trySend(session.id, { type: 'complete' })
  console.log(refused.ok ? 'completed' : refused.error.code)
})

// Around the transaction there is no way: it would wait for itself.
await engine
  .transaction(() => engine.sessions.create())
  .catch((error) => console.log(isPawlError(error, 'transaction_misuse')))

await engine.close()
database.close()
