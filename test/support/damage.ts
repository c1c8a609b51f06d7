import type Sqlite from 'better-sqlite3'
import { openRaw } from './raw.ts'

/** Numbers from 0 to below 1, the same for the same seed. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  // Mulberry32: short, and good enough to choose by.
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** One byte of one row, changed. */
export interface Damage {
  /** The resource that the row was about. */
  readonly resourceId: string
  readonly text: string
  /** Puts the byte back. */
  readonly undo: () => void
}

type Random = () => number

/** Opens a connection that may write what no engine would. */
export function openCareless(database: string): Sqlite.Database {
  const raw = openRaw(database)
  raw.pragma('foreign_keys = off')
  raw.pragma('ignore_check_constraints = on')
  raw.defaultSafeIntegers(true)
  return raw
}

function below(random: Random, count: number): number {
  return Math.floor(random() * count)
}

function pick<T>(random: Random, items: readonly T[]): T {
  return items[below(random, items.length)] as T
}

const KEYS = { pawl_events: 'seq', pawl_resources: 'position' } as const
const OWNERS = { pawl_events: 'resource_id', pawl_resources: 'id' } as const

/** Changes one byte of any column of any row of the log or the resources. */
export function damageByte(raw: Sqlite.Database, random: Random): Damage {
  for (;;) {
    const table = pick(random, ['pawl_events', 'pawl_resources'] as const)
    const key = KEYS[table]
    const keys = raw.prepare(`select ${key} from ${table}`).pluck().all() as bigint[]
    const place = pick(random, keys)
    const row = raw.prepare(`select * from ${table} where ${key} = ?`).get(place)
    const filled = Object.entries(row as Record<string, unknown>).filter(
      ([, value]) => value !== null,
    )
    const [column, value] = pick(random, filled)
    const changed = changedByte(random, value)
    const owner = OWNERS[table]
    const resourceId = String((row as Record<string, unknown>)[owner])
    // A key that is taken cannot be had.
    if (!write(raw, { table, key, column }, place, changed)) continue
    const now = column === key ? (changed as bigint) : place
    return {
      resourceId,
      text: `${table} ${place} ${column}: ${shown(value)} became ${shown(changed)}`,
      undo: () => void write(raw, { table, key, column }, now, value),
    }
  }
}

function shown(value: unknown): string {
  return Buffer.isBuffer(value)
    ? value.toString('latin1').slice(0, 300)
    : String(value).slice(0, 300)
}

/** A text as its bytes, so that it can become one that is none; a number with one bit the other way. */
function changedByte(random: Random, value: unknown): unknown {
  if (typeof value === 'bigint') return BigInt.asIntN(64, value ^ (1n << BigInt(below(random, 64))))
  const bytes = Buffer.from(value as string | Buffer)
  if (bytes.length === 0) return Buffer.from('x')
  const at = below(random, bytes.length)
  const mask = typeof value === 'string' ? 1 + below(random, 255) : 1 << below(random, 8)
  bytes[at] = (bytes[at] ?? 0) ^ mask
  return typeof value === 'string' ? new Text(bytes) : bytes
}

/** Bytes that SQLite is to take for a text. */
class Text {
  readonly bytes: Buffer
  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  toString(): string {
    return JSON.stringify(this.bytes.toString('latin1'))
  }
}

interface Cell {
  readonly table: string
  readonly key: string
  readonly column: string
}

function write(raw: Sqlite.Database, { table, key, column }: Cell, place: unknown, value: unknown) {
  const [slot, bound] = value instanceof Text ? ['cast(? as text)', value.bytes] : ['?', value]
  try {
    return (
      raw.prepare(`update ${table} set ${column} = ${slot} where ${key} = ?`).run(bound, place)
        .changes === 1
    )
  } catch (error) {
    if ((error as { code?: string }).code?.startsWith('SQLITE_CONSTRAINT')) return false
    throw error
  }
}
