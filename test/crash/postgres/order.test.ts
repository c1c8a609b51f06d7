import type pg from 'pg'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createEngine } from '../../../src/index.ts'
import { type AnyEngine, expectVerified, handleOf } from '../../support/engine.ts'
import { OFFLINE } from '../../support/offline.ts'
import { gate, until } from '../../support/until.ts'
import { hasServer, setupPlace } from './servers.ts'

/** Two connections of their own, and one that reads. */
async function setupConnections() {
  const { raw, schema } = setupPlace()
  await raw.query(`create schema ${schema}`)
  const connect = async () => {
    const client = await raw.connect()
    onTestFinished(() => client.release())
    return client
  }
  return { early: await connect(), late: await connect(), reader: await connect() }
}

/** Reads on after a place, as whoever follows a table by its numbers does. */
function readerOf(connection: pg.PoolClient) {
  const seen: string[] = []
  let last = 0
  return {
    seen,
    read: async () => {
      const { rows } = await connection.query(
        'select seq, text from log where seq > $1 order by seq',
        [last],
      )
      for (const { seq, text } of rows) {
        seen.push(text)
        last = Number(seq)
      }
    },
  }
}

/** Follows the events of an engine. */
function follow(engine: AnyEngine): unknown[] {
  const seen: unknown[] = []
  void (async () => {
    for await (const { data, seq } of engine.events.subscribe({ from: 'start' }))
      seen.push([seq, data.name])
  })()
  return seen
}

describe.runIf(await hasServer('the order of commits'))('an entry that is committed late', () => {
  test('is missed in a table that is numbered by a sequence', async () => {
    const { early, late, reader } = await setupConnections()
    await early.query('create table log (seq bigserial primary key, text text)')
    const { read, seen } = readerOf(reader)

    await late.query('begin')
    await late.query(`insert into log (text) values ('numbered first, committed last')`)
    await early.query(`insert into log (text) values ('numbered last, committed first')`)
    await read()
    await late.query('commit')
    await read()

    const { rows } = await reader.query('select text from log order by seq')
    expect(rows.map(({ text }) => text)).toEqual([
      'numbered first, committed last',
      'numbered last, committed first',
    ])
    expect(seen).toEqual(['numbered last, committed first'])
  })

  test('is missed by nobody in the log of an engine: whoever comes after it waits', async () => {
    const { database, raw, schema } = setupPlace()
    const open = async () => {
      const given = { database: database(), delivery: OFFLINE }
      const engine = (await createEngine(given)) as unknown as AnyEngine
      onTestFinished(() => engine.close())
      return engine
    }
    const [late, early, reader] = [await open(), await open(), await open()]
    const seen = follow(reader)
    const { opened: mayEnd, open: letEnd } = gate()
    const { opened: hasWritten, open: tellWritten } = gate()

    const first = late.transaction(async (tx) => {
      await handleOf(tx, 'agents').create({ name: 'numbered first' })
      tellWritten()
      await mayEnd
    })
    await hasWritten
    const second = handleOf(early, 'agents').create({ name: 'numbered last' })
    await until(async () => {
      const { rows } = await raw.query(
        `select from pg_stat_activity where application_name = $1 and wait_event_type = 'Lock'`,
        [schema],
      )
      return rows.length > 0
    }, 'the one that waits')
    const before = [...seen]
    letEnd()
    await Promise.all([first, second])
    await until(() => seen.length === 2, 'both events')

    expect(before).toEqual([])
    expect(seen).toEqual([
      [1, 'numbered first'],
      [2, 'numbered last'],
    ])
    await expectVerified(reader)
  })
})
