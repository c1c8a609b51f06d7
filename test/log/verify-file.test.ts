import { closeSync, openSync, writeSync } from 'node:fs'
import { expect, test } from 'vitest'
import { openEngine, reopen } from '../support/engine.ts'
import { openRaw } from '../support/raw.ts'
import { temporaryFile } from '../support/temp.ts'
import { makeSession } from '../support/world.ts'

test.each([
  'pawl_timers_by_time',
  'pawl_events_milestones',
  'pawl_listing_by_type',
  'pawl_statuses_by_status',
])('verify finds that the index %s is damaged, which no row shows', async (index) => {
  const database = temporaryFile()
  const engine = await openEngine({ database })
  await makeSession(engine)
  await engine.close()
  const raw = openRaw(database)
  raw.pragma('wal_checkpoint(truncate)')
  const page = raw.prepare('select rootpage from sqlite_master where name = ?').pluck().get(index)
  const size = Number(raw.pragma('page_size', { simple: true }))
  raw.close()
  const file = openSync(database, 'r+')
  writeSync(file, Buffer.alloc(size, 0xab), 0, size, (Number(page) - 1) * size)
  closeSync(file)

  const again = await reopen(engine, { database })
  const { ok, differences } = await again.verify()
  await again.close()

  expect(ok).toBe(false)
  expect(differences.map(({ kind }) => kind)).toContain('storage')
})
