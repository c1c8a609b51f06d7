import { expect, test } from 'vitest'
import { openCareless } from '../support/damage.ts'
import { type AnyTestEngine, collect, handleOf, setupEngine } from '../support/engine.ts'
import { insertRow } from '../support/raw.ts'
import { temporaryFile } from '../support/temp.ts'
import { makeSession } from '../support/world.ts'

/** Sessions enough that the first 128 entries are listed and some are not, on a file that others can damage. */
async function setupSessions(count = 140) {
  const database = temporaryFile()
  const engine = await setupEngine({ database })
  for (let n = 0; n < count; n += 1) await makeSession(engine)
  return { engine, raw: openCareless(database).defaultSafeIntegers(false) }
}

async function differencesOf(engine: AnyTestEngine): Promise<number> {
  return (await engine.verify()).differences.length
}

const sessionsOf = async (engine: AnyTestEngine) =>
  (await collect(await handleOf(engine, 'sessions').list())).length

test.each(['tenant', 'type'])(
  'a resource that is listed under another %s is found',
  async (column) => {
    const { engine, raw } = await setupSessions()
    const { position, id } = raw
      .prepare('select position, id from pawl_resources where latest < 100 limit 1')
      .get() as { position: number; id: string }
    // Its newest entry is not listed yet, so its status may be another one; the rest may not.
    await handleOf(engine, 'sessions').send(id, { type: 'start' })
    expect(await differencesOf(engine)).toBe(0)

    raw.prepare(`update pawl_statuses set ${column} = 'other' where position = ?`).run(position)

    expect(await differencesOf(engine)).toBe(1)
  },
)

test('statuses are compared when all of the log has been pruned', async () => {
  const { engine, raw } = await setupSessions()
  await engine.clock.advance('1d')
  await engine.prune({ events: 0 })
  expect(raw.prepare('select count(*) from pawl_events').pluck().get()).toBe(0)
  expect(await sessionsOf(engine)).toBe(140)
  expect(await differencesOf(engine)).toBe(0)

  raw.exec("update pawl_statuses set status = 'idle' where position < 4")
  expect(await differencesOf(engine)).toBe(3)

  raw.exec('delete from pawl_statuses where position < 5')
  expect(await differencesOf(engine)).toBe(4)
})

test('a listing that goes further than the log is found', async () => {
  const { engine, raw } = await setupSessions(128)
  const last = raw.prepare('select * from pawl_listing where seq = 128').get() as object
  expect(await differencesOf(engine)).toBe(0)

  insertRow(raw, 'pawl_listing', { ...last, seq: 5000, id: 'evt_zzzzzzzz' })

  expect(await differencesOf(engine)).toBe(1)
})
