/** How does a query that Kysely typed run prepared on any connection? @module */

import { createHash } from 'node:crypto'
import {
  type Compilable,
  DummyDriver,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type RawBuilder,
  sql,
} from 'kysely'
import type { Tables } from './schema.ts'
import type { PreparedQuery, Session } from './session.ts'

/** Values by the names of a statement's parameters; any object where the types do not tell the names. */
export type Values<Name extends string> = string extends Name
  ? object
  : Readonly<Record<Name, unknown>>

/** A statement with named parameters. */
export interface Prepared<Name extends string, Row> {
  all(session: Session, values: Values<Name>): Promise<Row[]>
  get(session: Session, values: Values<Name>): Promise<Row | undefined>
  /** Gives the number of rows that changed. */
  run(session: Session, values: Values<Name>): Promise<number>
}

/** Stands in a query for a value that is given at run time. */
export type Slot<Name extends string> = (name: Name) => never

/** Makes the statements of a schema. */
export interface Statements {
  readonly schema: string
  /** Builds queries on pawl's tables and runs none. */
  readonly queries: Kysely<Tables>
  /** A table, for SQL that is written by hand. */
  table(name: keyof Tables): RawBuilder<unknown>
  /**
   * Compiles a query once. `build` gets a function that makes parameters, which Kysely takes for values. Where SQL
   * is written by hand, a parameter may need a cast: PostgreSQL has to know its type.
   */
  prepare<Name extends string, Row>(build: (slot: Slot<Name>) => Query<Row>): Prepared<Name, Row>
}

/** A query that was built, or SQL that is written by hand. */
export type Query<Row> = Compilable<Row> | RawBuilder<Row>

class Parameter {
  readonly name: string
  constructor(name: string) {
    this.name = name
  }
}

/** Prepares making the statements of a schema. */
export function createStatements(schema: string): Statements {
  const queries = new Kysely<Tables>({
    dialect: {
      createAdapter: () => new PostgresAdapter(),
      createDriver: () => new DummyDriver(),
      createIntrospector: (db) => new PostgresIntrospector(db),
      createQueryCompiler: () => new PostgresQueryCompiler(),
    },
  }).withSchema(schema)
  return {
    schema,
    queries,
    table: (name) => sql.id(schema, name),
    prepare: (build) => prepare(queries, build),
  }
}

function prepare<Name extends string, Row>(
  queries: Kysely<Tables>,
  build: (slot: Slot<Name>) => Query<Row>,
): Prepared<Name, Row> {
  // What has been built is compiled by itself.
  const compiled = build((name) => new Parameter(name) as never).compile(queries)
  const query = named(compiled.sql)
  const bind = (values: Values<Name>): unknown[] =>
    compiled.parameters.map((parameter) =>
      parameter instanceof Parameter
        ? (values as Readonly<Record<string, unknown>>)[parameter.name]
        : parameter,
    )
  const all = async (session: Session, values: Values<Name>): Promise<Row[]> =>
    (await session.run(query, bind(values))).rows as Row[]
  return {
    all,
    get: async (session, values) => (await all(session, values))[0],
    run: async (session, values) => (await session.run(query, bind(values))).rowCount ?? 0,
  }
}

/** A statement is known to a connection by what it says: so no two ever have the same name. */
function named(text: string): PreparedQuery {
  const digest = createHash('sha256').update(text).digest('base64url').slice(0, 22)
  return { name: `pawl_${digest}`, text }
}

/** Runs a query that was built for this once. */
export async function allOf<Row>(session: Session, query: Compilable<Row>): Promise<Row[]> {
  const { sql: text, parameters } = query.compile()
  return (await session.once(text, parameters)).rows as Row[]
}

/** Any value of a list that is given as one parameter. */
export function anyOf<T extends string | number>(
  slot: never,
  type: T extends string ? 'text' : 'bigint',
): RawBuilder<T> {
  return sql<T>`any(${slot}::${sql.raw(type)}[])`
}

/** Writes a list, with one round trip or, where it is empty, none; gives how many rows that changed. */
export async function unlessEmpty<T>(
  list: readonly T[],
  write: (list: readonly T[]) => Promise<number>,
): Promise<number> {
  return list.length === 0 ? 0 : write(list)
}
