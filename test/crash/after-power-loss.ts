import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { expect } from 'vitest'
import { createEngine } from '../../src/index.ts'
import { collect } from '../support/engine.ts'
import { rowsOf } from '../support/raw.ts'
import { COPIED } from './copies.ts'
import type { Cut } from './power-cuts.ts'
import { type Acknowledgement, DATABASE, type Recording } from './recordings.ts'
import { agentOf, NOTED, type PlatformEngine } from './workload.ts'

/** Opens what a power cut has left, and fails where something is missing that may not; tells how many calls are lost. */
export async function expectSound(folder: string, recording: Recording, cut: Cut): Promise<number> {
  const database = join(folder, DATABASE)
  const engine = await createEngine({ database, durability: 'relaxed' })
  try {
    const head = await expectPrefix(engine, recording)
    const lost = cut.acknowledged.filter(({ seqs }) => seqs.some((seq) => seq > head))
    expect(lost.filter(({ seqs }) => seqs.some((seq) => seq <= head))).toEqual([])
    if (recording.durability === 'full') expect(lost).toEqual([])
    await expectVerified(engine)
    const hasTables = await expectOwnRows(engine, database, recording, head)
    const isDurable = recording.durability === 'full' && cut.acknowledged.length > 0
    if (isDurable) expect(hasTables).toBe(true)
    await expectRepeatable(engine, recording, cut, head)
    await expectVerified(engine)
    return lost.length
  } finally {
    await engine.close()
  }
}

/** Expects the beginning of what the log came to in the end; gives its length. */
async function expectPrefix(engine: PlatformEngine, { log }: Recording): Promise<number> {
  const found = await collect(engine.events.list({ internal: true, order: 'asc', limit: 1000 }))
  expect(found.map(({ seq, id }) => ({ seq, id }))).toEqual(
    log.slice(0, found.length).map(({ id }, index) => ({ seq: index + 1, id })),
  )
  return found.length
}

async function expectVerified(engine: PlatformEngine): Promise<void> {
  expect(await engine.verify()).toMatchObject({ ok: true, differences: [] })
}

/** What was written beside the log has to be exactly as old as the log; tells whether there are tables for it. */
async function expectOwnRows(
  engine: PlatformEngine,
  database: string,
  { log }: Recording,
  head: number,
): Promise<boolean> {
  const raw = new Sqlite(database, { readonly: true })
  try {
    expect(raw.pragma('integrity_check', { simple: true })).toBe('ok')
    const tables = raw.prepare("select name from sqlite_master where type = 'table'").pluck().all()
    if (!tables.includes('notes')) {
      expect(head).toBe(0)
      return false
    }
    const kept = log.slice(0, head)
    const noted = kept.filter(({ data }) => 'description' in data && data.description === NOTED)
    const names = noted.map(({ data }) => ('name' in data ? data.name : null))
    expect(rowsOf(raw, 'notes').map(({ id }) => id)).toEqual(names)
    const position = (await engine.consumers.list())[0]?.position ?? 0
    expect(position).toBeLessThanOrEqual(head)
    const isCopied = ({ type }: { type: string }) => type.startsWith(COPIED.replace('*', ''))
    const copied = kept.slice(0, position).filter(isCopied)
    expect(rowsOf(raw, 'copies').map((row) => row.event_id)).toEqual(copied.map(({ id }) => id))
    return true
  } finally {
    raw.close()
  }
}

/** A call that was acknowledged can be made again: it has its effect if that was lost, and none otherwise. */
async function expectRepeatable(
  engine: PlatformEngine,
  { log }: Recording,
  { acknowledged }: Cut,
  head: number,
): Promise<void> {
  const createsAgent = ({ seqs: [seq = 0] }: Acknowledgement) => {
    const event = log[seq - 1]
    if (event?.type !== 'agent.created' || !('description' in event.data)) return false
    return event.data.description !== NOTED
  }
  const { key = null, seqs = [] } = acknowledged.findLast(createsAgent) ?? {}
  if (key === null) return
  const isKept = seqs.every((seq) => seq <= head)
  const outcome = await engine.agents.create(agentOf(key), { idempotencyKey: key })
  expect(outcome.replayed).toBe(isKept)
  expect(outcome.events.map(({ seq }) => seq)).toEqual(isKept ? seqs : [head + 1])
}
