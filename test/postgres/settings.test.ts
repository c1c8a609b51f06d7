/** Does an engine come back to what it has written, however the server has been set up? */

import { type Pool, postgres } from 'pawl/postgres'
import pg from 'pg'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type Session, sessionOn } from '../../src/store/postgres/session.ts'
import { handleOf, openEngine } from '../support/engine.ts'
import { isServer, setupSchema } from '../support/postgres.ts'
import { makeCredential, makeDestination, send } from '../support/world.ts'

/** A pool whose connections have settings. */
function poolWith(options: string): pg.Pool {
  const server = { host: '127.0.0.1', port: 5432, user: 'postgres', database: 'postgres' }
  const pool = new pg.Pool({ ...server, max: 4, options })
  pool.on('error', () => {})
  onTestFinished(() => pool.end())
  return pool
}

const FORMS = ['hex', 'escape'] as const

const formOf = (form: (typeof FORMS)[number]) => `-c bytea_output=${form}`

// Every byte by itself, and what looks like another form.
const BYTES = [
  Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)),
  ...['', '\\x', '\\x6162', '\\\\', '\\101', '101', "it's", 'ab\\'].map((text) =>
    Buffer.from(text),
  ),
]

async function sent(session: Session, values: readonly Buffer[]): Promise<unknown[]> {
  const text =
    'select value from unnest($1::bytea[]) with ordinality as one (value, at) order by at'
  const { rows } = await session.once(text, [values])
  return rows.map((row) => (row as { readonly value: unknown }).value)
}

describe.runIf(await isServer())('a connection with bytea_output', () => {
  test.each(FORMS)('%s has bytes come back as they were', async (form) => {
    const client = await poolWith(formOf(form)).connect()
    const session = sessionOn(client as never)

    const together = await sent(session, BYTES)
    const single = await Promise.all(
      BYTES.map(
        async (bytes) => (await session.once('select $1::bytea as value', [bytes])).rows[0],
      ),
    )
    client.release()

    expect(together).toEqual(BYTES)
    expect(single).toEqual(BYTES.map((value) => ({ value })))
  })

  test.each([
    ['escape', 'hex'],
    ['hex', 'escape'],
  ] as const)('%s writes what one with %s finds whole', async (written, read) => {
    const { schema } = await setupSchema()
    const databaseWith = (form: (typeof FORMS)[number]) =>
      postgres(poolWith(formOf(form)) as unknown as Pool, { schema })
    const engine = await openEngine({ database: databaseWith(written) })
    const { id } = await makeCredential(engine)
    const destination = await makeDestination(engine)
    for (const name of ['one', 'two', 'three'])
      await send(engine, 'event_destination', destination.id, { type: 'update', name })
    const secrets = await handleOf(engine, 'credentials').reveal(id)
    const once = { idempotencyKey: 'once' }
    const rotate = { type: 'rotate_secret' }
    const destinations = handleOf(engine, 'eventDestinations')
    const rotated = await destinations.send(destination.id, rotate, once)
    await engine.clock.advance('1h')
    await engine.prune({ events: '1m' })
    const now = engine.clock.now()
    await engine.close()

    const other = await openEngine({ database: databaseWith(read), now })
    onTestFinished(() => other.close())

    expect(await other.verify()).toMatchObject({ ok: true, differences: [] })
    expect(await handleOf(other, 'credentials').reveal(id)).toEqual(secrets)
    const again = await handleOf(other, 'eventDestinations').send(destination.id, rotate, once)
    expect(again).toMatchObject({ replayed: true, secrets: rotated.secrets })
  })
})
