/** How does a query that Kysely typed run prepared, without Kysely, on the hot path? @module */

import type { Database, Statement } from 'better-sqlite3'
import {
  type Compilable,
  DummyDriver,
  Kysely,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely'
import type { Tables } from '../schema.ts'

/** Builds queries and runs none. */
export const queries = new Kysely<Tables>({
  dialect: {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  },
})

/** Values by the names of a statement's parameters. */
export type Values<Name extends string> = Readonly<Record<Name, unknown>>

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
 * them for values and lists them in the order in which the statement binds them.
 */
export function prepare<Name extends string, Row>(
  database: Database,
  build: (slot: Slot<Name>) => Compilable<Row>,
): Prepared<Name, Row> {
  const { sql, parameters } = build((name) => new Parameter(name) as never).compile()
  const statement: Statement<unknown[], Row> = database.prepare(sql)
  // What is not a parameter is a constant of the query, such as a limit of one.
  const sources = parameters.map((parameter) =>
    parameter instanceof Parameter ? { name: parameter.name as Name } : { constant: parameter },
  )
  const bind = (values: Values<Name>): unknown[] =>
    sources.map((source) => ('name' in source ? values[source.name] : source.constant))
  return {
    all: (values) => statement.all(...bind(values)),
    get: (values) => statement.get(...bind(values)),
    run: (values) => statement.run(...bind(values)).changes,
  }
}
