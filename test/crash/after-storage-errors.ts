import Sqlite from 'better-sqlite3'
import { expect } from 'vitest'
import { createEngine } from '../../src/index.ts'
import { collect } from '../support/engine.ts'
import { rowsOf } from '../support/raw.ts'
import { COPIED } from './copies.ts'
import type { Said } from './failing-disk.ts'
import { keyOf, NOTED, type PlatformEngine } from './workload.ts'

type Log = Awaited<ReturnType<typeof logOf>>

/** Expects that each call has had its effect once, where its caller was told; that all fits, and goes on. */
export async function expectSettled(database: string, said: readonly Said[]): Promise<void> {
  const engine = await createEngine({ database, durability: 'relaxed' })
  try {
    const log = await logOf(engine)
    expectCallsOnce(log, said)
    expectOwnRows(log, database)
    const failed = log.filter(({ type }) => type === 'session.failed')
    expect(new Set(failed.map(({ resource_id }) => resource_id)).size).toBe(failed.length)
    await engine.agents.create({ name: 'later' })
    expect(await engine.verify()).toMatchObject({ ok: true, differences: [] })
  } finally {
    await engine.close()
  }
}

function logOf(engine: PlatformEngine) {
  return collect(engine.events.list({ internal: true, order: 'asc', limit: 1000 }))
}

function expectCallsOnce(log: Log, said: readonly Said[]): void {
  expect(log.map(({ seq }) => seq)).toEqual(log.map((_, index) => index + 1))
  const acknowledged = said.filter((one) => one.is === 'acknowledged')
  const repeated = said.filter((one) => one.is === 'repeated')
  const stored = log.map(keyOf).filter((key) => key !== null)
  expect(stored.sort()).toEqual(acknowledged.map(({ key }) => key).sort())
  const misplaced = acknowledged.filter(
    ({ key, seqs }) => !seqs.some((seq) => log.some((e) => e.seq === seq && keyOf(e) === key)),
  )
  expect(misplaced).toEqual([])
  const answers = new Map(acknowledged.map(({ key, seqs }) => [key, seqs]))
  expect(repeated.filter(({ replayed }) => !replayed)).toEqual([])
  expect(new Map(repeated.map(({ key, seqs }) => [key, seqs]))).toEqual(answers)
}

/** What was written beside the log has to be there as often as what it was written with. */
function expectOwnRows(log: Log, database: string): void {
  const raw = new Sqlite(database, { readonly: true })
  try {
    expect(raw.pragma('integrity_check', { simple: true })).toBe('ok')
    const noted = log.filter(({ data }) => 'description' in data && data.description === NOTED)
    const names = noted.map(({ data }) => ('name' in data ? data.name : null))
    expect(rowsOf(raw, 'notes').map(({ id }) => id)).toEqual(names)
    const copied = log.filter(({ type }) => type.startsWith(COPIED.replace('*', '')))
    const copies = rowsOf(raw, 'copies').map(({ event_id }) => event_id)
    expect(copies.sort()).toEqual(copied.map(({ id }) => id).sort())
  } finally {
    raw.close()
  }
}
