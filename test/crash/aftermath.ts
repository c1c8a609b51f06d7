import type Sqlite from 'better-sqlite3'
import { expect } from 'vitest'
import { isPawlError } from '../../src/index.ts'
import type { Line, Request } from './acknowledgements.ts'
import { type FastEngine, perform } from './fast-platform.ts'
import { passwordOf } from './platform-load.ts'

type Told = Extract<Line, { is: 'acknowledged' }>

/** What callers know of a file, over all the processes that have written it and died. */
export interface Book {
  /** The highest version that was acknowledged, by resource. */
  readonly versions: Map<string, number>
  /** Acknowledged events, by their place in the log. */
  readonly events: Map<number, { readonly id: string; readonly type: string }>
  /** The names of acknowledged transactions with rows of their own. */
  readonly notes: Set<string>
  /** The names of calls that were told to have come to nothing, at least when they were made first. */
  readonly undone: Set<string>
}

/** A call with a key that was made before the end, with what its caller got if it got anything. */
interface Tried {
  readonly key: string
  readonly request: Request
  readonly told: Told | undefined
}

export function createBook(): Book {
  return { versions: new Map(), events: new Map(), notes: new Set(), undone: new Set() }
}

/** Adds what a process has said before its end. */
export function enter(book: Book, lines: readonly Line[]): void {
  for (const line of lines) {
    if (line.is === 'failed') throw new Error(line.message)
    if (line.is === 'noted') book.notes.add(line.key)
    if (line.is === 'unanswered' && line.code === 'storage_busy') book.undone.add(line.name)
    if (line.is === 'acknowledged') enterTold(book, line)
  }
}

function enterTold({ versions, events }: Book, { id, version, events: told }: Told): void {
  versions.set(id, Math.max(version, versions.get(id) ?? 0))
  for (const [event, seq, type] of told) events.set(seq, { id: event, type })
}

/** Checks what is in the file, before any engine has opened it again. */
export function inspectFile(raw: Sqlite.Database, book: Book): void {
  expect(raw.pragma('integrity_check', { simple: true })).toBe('ok')
  expectAcknowledged(raw, book)
  expectWhole(raw)
  expectNotes(raw, book)
  expectTimers(raw)
  expectCopies(raw)
}

function expectAcknowledged(raw: Sqlite.Database, { versions, events }: Book): void {
  const stored = new Map(pairs(raw, 'select id, version from pawl_resources'))
  const lost = [...versions].filter(([id, version]) => Number(stored.get(id) ?? 0) < version)
  expect({ lost }).toEqual({ lost: [] })
  const log = new Map(pairs(raw, `select seq, id || ' ' || type from pawl_events`))
  const missing = [...events].filter(([seq, { id, type }]) => log.get(seq) !== `${id} ${type}`)
  expect({ missing }).toEqual({ missing: [] })
}

/** No hole in the log or in the versions of a resource; no state without its event, no event without its state. */
function expectWhole(raw: Sqlite.Database): void {
  const halves = raw
    .prepare(
      `select r.id, r.version, e.resource_id, e.highest, e.versions from pawl_resources r
       full outer join (
         select resource_id, max(resource_version) highest, count(distinct resource_version) versions
         from pawl_events group by resource_id
       ) e on e.resource_id = r.id
       where r.version is not e.highest or e.highest is not e.versions`,
    )
    .all()
  expect({ halves }).toEqual({ halves: [] })
  const log = 'select count(*) count, max(seq) last, min(seq) first from pawl_events'
  const { count, last, first } = raw.prepare<[], Record<string, number | null>>(log).get() ?? {}
  if (count !== 0) expect({ last, first }).toEqual({ last: count, first: 1 })
}

/** The two rows of a transaction and the agent that it creates: all or nothing, and there if acknowledged. */
function expectNotes(raw: Sqlite.Database, { notes }: Book): void {
  const rows = new Map(pairs(raw, 'select id, count(*) from notes group by id order by min(rowid)'))
  const agents = raw
    .prepare<[], string>(
      `select json_extract(data, '$.name') from pawl_events
       where type = 'agent.created' and json_extract(data, '$.description') = 'noted' order by seq`,
    )
    .pluck()
    .all()
  expect([...rows]).toEqual(agents.map((name) => [name, 2]))
  expect([...notes].filter((name) => !rows.has(name))).toEqual([])
}

/** How many timers a resource has in a status; none where nothing is said. */
export const TIMERS: Readonly<Record<string, number>> = {
  ...{ 'session queued': 1, 'session idle': 1, 'session completing': 1, 'storage stored': 1 },
  ...{ 'task_run running': 1, 'task_run pending': 1, 'task_run canceling': 1 },
  'task_run interaction_required': 2,
}

function expectTimers(raw: Sqlite.Database): void {
  const counts = pairs(
    raw,
    `select r.type || ' ' || r.status, count(t.due_at) n from pawl_resources r
     left join pawl_timers t on t.resource_id = r.id group by r.id`,
  )
  expect(counts.filter(([status, count]) => (TIMERS[String(status)] ?? 0) !== count)).toEqual([])
  const orphans =
    'select count(*) from pawl_timers where resource_id not in (select id from pawl_resources)'
  expect(raw.prepare(orphans).pluck().get()).toBe(0)
}

/** The consumer has copied the first so many of its events, each once and in order. */
function expectCopies(raw: Sqlite.Database): void {
  const copies = pairs(raw, 'select seq, event_id from copies order by id')
  const events = pairs(
    raw,
    `select seq, id from pawl_events where type like 'agent.%' order by seq`,
  )
  expect(copies).toEqual(events.slice(0, copies.length))
}

function pairs(raw: Sqlite.Database, sql: string): [unknown, unknown][] {
  return raw.prepare(sql).raw().all() as [unknown, unknown][]
}

/** The calls with a key among what was said. */
export function triedIn(lines: readonly Line[]): Tried[] {
  const told = new Map<string, Told>()
  for (const line of lines) if (line.is === 'acknowledged') told.set(line.key ?? '', line)
  return lines.flatMap((line) =>
    line.is === 'tried' ? [{ key: line.key, request: line.request, told: told.get(line.key) }] : [],
  )
}

/** Repeats a call: it has the outcome that it had, and otherwise has it now, once. */
export async function repeat(engine: FastEngine, { key, request, told }: Tried): Promise<void> {
  try {
    const again = await perform(engine, request, key)
    const once = await perform(engine, request, key)
    const { replayed: wasReplayed, ...outcome } = again
    const { replayed, ...same } = once
    expect(same).toEqual(outcome)
    expect(replayed).toBe(true)
    if (told === undefined) return
    expect({ key, wasReplayed }).toEqual({ key, wasReplayed: true })
    expect(again.resource).toMatchObject({ id: told.id, version: told.version })
    expect(again.events.map(({ id, seq, type }) => [id, seq, type])).toEqual(told.events)
  } catch (error) {
    // It did not take effect before the end, and what it is about has gone on since.
    if (told !== undefined || !isPawlError(error, 'illegal_transition')) throw error
  }
}

/** Starts the timers, and waits until those that are overdue have fired. Gives how many that were. */
export async function expectOverdueFire(raw: Sqlite.Database, engine: FastEngine): Promise<number> {
  const overdue = raw
    .prepare<[number], { id: string; version: number }>(
      `select id, version from pawl_resources
       where id in (select resource_id from pawl_timers where due_at <= ?)`,
    )
    .all(Date.now())
  await engine.start()
  const now = new Map(pairs(raw, 'select id, version from pawl_resources'))
  const idle = overdue.filter(({ id, version }) => Number(now.get(id)) <= version)
  expect({ idle }).toEqual({ idle: [] })
  return overdue.length
}

/** Secrets that were acknowledged can be read, unless their credential has been deleted since. */
export async function expectSecrets(engine: FastEngine, tried: readonly Tried[]): Promise<void> {
  for (const { key, request, told } of tried) {
    if (told === undefined || request.property !== 'credentials') continue
    expect(Object.values(await engine.credentials.reveal(told.id))).toEqual([passwordOf(key)])
  }
}

/** Checks that state and log agree. */
export async function expectProven(engine: FastEngine): Promise<void> {
  const { ok, differences } = await engine.verify()
  expect({ ok, differences }).toEqual({ ok: true, differences: [] })
}
