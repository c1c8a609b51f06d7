import Sqlite from 'better-sqlite3'

/** One value of one row. */
export interface Place {
  readonly table: string
  readonly column: string
  readonly rowid: number
  readonly value: unknown
}

/** Opens a connection that may write what the schema forbids. */
export function connect(database: string): Sqlite.Database {
  const raw = new Sqlite(database)
  raw.pragma('foreign_keys = off')
  raw.pragma('ignore_check_constraints = on')
  return raw
}

/**
 * A value with one bit changed; `where` from 0 to 1 says in which byte. A number that is the key of
 * its rows changes in a high bit, so that it takes nobody else's place.
 */
export function flipped({ column, value }: Place, where: number, bit: number): unknown {
  if (typeof value === 'number') {
    const high = column === 'seq' || column === 'position' ? 20 : 0
    return Number(BigInt(value) ^ (1n << BigInt(bit + high)))
  }
  const bytes = Buffer.from(value as string | Buffer)
  const index = Math.min(bytes.length - 1, Math.floor(where * bytes.length))
  bytes[index] = (bytes[index] ?? 0) ^ (1 << bit)
  return typeof value === 'string' ? new Text(bytes) : bytes
}

/** The bytes of a text, that may not be UTF-8 any more. */
class Text {
  readonly bytes: Buffer

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }
}

/** Writes a value to its place. */
export function writeAt(raw: Sqlite.Database, place: Place, value: unknown): void {
  const { table, column, rowid } = place
  const [sql, bound] = value instanceof Text ? ['cast(? as text)', value.bytes] : ['?', value]
  const { changes } = raw
    .prepare(`update ${table} set ${column} = ${sql} where rowid = ?`)
    .run(bound, rowid)
  if (changes !== 1) throw new Error(`there is no row ${rowid} in ${table}`)
}
