/** How does a query that Kysely typed run prepared, without Kysely, on the hot path? @module */

import type { Database, Statement } from 'better-sqlite3'
import {
  type Compilable,
  DummyDriver,
  Kysely,
  type LimitNode,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely'
import type { Tables } from '../schema.ts'

/**
 * Compiles so that a statement is planned once. A limit that is a bare parameter could change the plan, so SQLite
 * plans the statement anew whenever one is bound, which takes longer than most of them run; a sum could not. Where
 * SQL is written by hand, the sum is as well.
 */
class Compiler extends SqliteQueryCompiler {
  protected override visitLimit(node: LimitNode): void {
    super.visitLimit(node)
    this.append(' + 0')
  }
}

/** Builds queries and runs none. */
export const queries = new Kysely<Tables>({
  dialect: {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new Compiler(),
  },
})

/** Values by the names of a statement's parameters; any object where the types do not tell the names. */
export type Values<Name extends string> = string extends Name
  ? object
  : Readonly<Record<Name, unknown>>

/** A prepared statement with named parameters. */
export interface Prepared<Name extends string, Row> {
  all(values: Values<Name>): Row[]
  get(values: Values<Name>): Row | undefined
  /** Gives the number of rows that changed. */
  run(values: Values<Name>): number
}

class Parameter {
  readonly name: string
  constructor(name: string) {
    this.name = name
  }
}

/** Stands in a query for a value that is given at run time. */
export type Slot<Name extends string> = (name: Name) => never

/**
 * Compiles a query once and prepares it. `build` gets a function that makes parameters; Kysely takes
 * them for values and lists them in the order in which the statement binds them. Each row is an array of its
 * columns if need be.
 */
export function prepare<Name extends string, Row>(
  database: Database,
  build: (slot: Slot<Name>) => Compilable<Row>,
  asArrays = false,
): Prepared<Name, Row> {
  const { sql, parameters } = build((name) => new Parameter(name) as never).compile()
  const statement: Statement<unknown[], Row> = database.prepare(sql)
  if (asArrays) statement.raw()
  // What is not a parameter is a constant of the query, such as a limit of one.
  const sources = parameters.map((parameter) =>
    parameter instanceof Parameter
      ? { name: parameter.name, constant: undefined }
      : { name: undefined, constant: parameter },
  )
  const bind = (values: Values<Name>): unknown[] => {
    const named = values as Readonly<Record<string, unknown>>
    const bound = new Array<unknown>(sources.length)
    for (let place = 0; place < sources.length; place++) {
      const source = sources[place]
      const value = source?.name === undefined ? source?.constant : named[source.name]
      // SQLite has no truth values.
      bound[place] = typeof value === 'boolean' ? Number(value) : value
    }
    return bound
  }
  return {
    all: (values) => statement.all(bind(values)),
    get: (values) => statement.get(bind(values)),
    run: (values) => statement.run(bind(values)).changes,
  }
}
