/** How does what belongs to a resource come along with it? As JSON, since each is a table of its own. @module */

import { type ExpressionBuilder, sql } from 'kysely'
import { jsonArrayFrom, jsonObjectFrom } from 'kysely/helpers/postgres'
import type { BaseRow, ResourceSlice } from '../audit.ts'
import { timerColumns } from '../columns.ts'
import type { Tables } from './schema.ts'

/** A query on resources, within which other tables are asked for what belongs to each. */
type OfResource = ExpressionBuilder<Tables, 'pawl_resources'>

/** What its pruned entries came to. */
export function baseOf({ selectFrom }: OfResource) {
  return jsonObjectFrom(
    selectFrom('pawl_bases as base')
      .select(['base.resource_id as resourceId', 'base.seq', 'base.state'])
      .select([hex('base.hash').as('hash'), hex('base.digest').as('digest')])
      .whereRef('base.resource_id', '=', 'pawl_resources.id'),
  ).$castTo<string | null>()
}

/** Its timers, in the order in which they were set. */
export function timersOf({ selectFrom }: OfResource) {
  const timers = selectFrom('pawl_timers as timer')
    .select(timerColumns.map((column) => `timer.${column}` as const))
    .whereRef('timer.resource_id', '=', 'pawl_resources.id')
    .orderBy('timer.position')
  return jsonArrayFrom(timers).$castTo<string>()
}

/** Its references to others. */
export function referencesOf({ selectFrom }: OfResource) {
  const references = selectFrom('pawl_references as reference')
    .select(['reference.resource_id as resourceId', 'reference.field', 'reference.type'])
    .select(['reference.target_id as targetId', 'reference.live', 'reference.position'])
    .whereRef('reference.resource_id', '=', 'pawl_resources.id')
    .orderBy('reference.field')
  return jsonArrayFrom(references).$castTo<string>()
}

/** Its secrets. */
export function secretsOf({ selectFrom }: OfResource) {
  const secrets = selectFrom('pawl_secrets as secret')
    .select(['secret.name', hex('secret.envelope').as('envelope')])
    .whereRef('secret.resource_id', '=', 'pawl_resources.id')
    .orderBy('secret.name')
  return jsonArrayFrom(secrets).$castTo<string>()
}

/** The base in a text. */
export function baseIn(text: string | null): BaseRow | undefined {
  if (text === null) return undefined
  const { hash, digest, ...base } = JSON.parse(text)
  return { ...base, hash: Buffer.from(hash, 'hex'), digest: Buffer.from(digest, 'hex') }
}

/** The rows in texts. */
export function restIn(texts: {
  readonly timers: string
  readonly references: string
  readonly secrets: string
}): NonNullable<ResourceSlice['rest']> {
  const secrets: readonly { readonly name: string; readonly envelope: string }[] = JSON.parse(
    texts.secrets,
  )
  return {
    timers: JSON.parse(texts.timers),
    references: JSON.parse(texts.references),
    secrets: secrets.map((row) => ({ ...row, envelope: Buffer.from(row.envelope, 'hex') })),
  }
}

/** JSON has no bytes. */
function hex(column: string) {
  return sql<string>`encode(${sql.ref(column)}, 'hex')`
}
