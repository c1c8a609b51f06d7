/** How are all ciphertexts of a database gone through and replaced? @module */

import type { Database } from 'better-sqlite3'
import type { SecretRow } from '../../core/rows.ts'
import type { Reads, SecretOutcome, Upkeep } from '../store.ts'
import type { Immediate } from './deferred.ts'
import { prepare, queries } from './statement.ts'

/** Prepares going through the ciphertexts. */
export function createSecretLists(
  database: Database,
): Immediate<Pick<Reads, 'secretsAfter' | 'secretOutcomesAfter'>> {
  const [secrets, outcomes] = [secretsAfter(database), outcomesAfter(database)]
  return {
    secretsAfter: (after, limit) =>
      secrets
        .all({ ...(after ?? { resourceId: '', name: '' }), limit })
        .map((row) => ({ ...row, envelope: Buffer.from(row.envelope) })),
    secretOutcomesAfter: (after, limit) =>
      outcomes
        .all({ ...(after ?? { tenant: '', key: '' }), limit })
        .map((row) => ({ ...row, secrets: Buffer.from(row.secrets ?? []) })),
  }
}

/** Prepares replacing ciphertexts. */
export function createResealing(
  database: Database,
): Immediate<Pick<Upkeep, 'reseal' | 'resealOutcomes'>> {
  const [secret, outcome] = [resealing(database), resealingOutcome(database)]
  const sum = (counts: readonly number[]) => counts.reduce((all, count) => all + count, 0)
  return {
    reseal: (rows: readonly (SecretRow & { readonly old: Buffer })[]) =>
      sum(rows.map((row) => secret.run({ ...row }))),
    resealOutcomes: (rows: readonly (SecretOutcome & { readonly old: Buffer })[]) =>
      sum(rows.map((row) => outcome.run({ ...row }))),
  }
}

function secretsAfter(database: Database) {
  return prepare(database, (slot) =>
    queries
      .selectFrom('pawl_secrets')
      .innerJoin('pawl_resources', 'pawl_resources.id', 'pawl_secrets.resource_id')
      .select(['resource_id as resourceId', 'name', 'envelope', 'type'])
      .where(({ eb, refTuple, tuple }) =>
        eb(refTuple('resource_id', 'name'), '>', tuple(slot('resourceId'), slot('name'))),
      )
      .orderBy('resource_id')
      .orderBy('name')
      .limit(slot('limit')),
  )
}

function outcomesAfter(database: Database) {
  return prepare(database, (slot) =>
    queries
      .selectFrom('pawl_outcomes')
      .select(['tenant', 'key', 'secrets'])
      .where('secrets', 'is not', null)
      .where(({ eb, refTuple, tuple }) =>
        eb(refTuple('tenant', 'key'), '>', tuple(slot('tenant'), slot('key'))),
      )
      .orderBy('tenant')
      .orderBy('key')
      .limit(slot('limit')),
  )
}

function resealing(database: Database) {
  return prepare(database, (slot) =>
    queries
      .updateTable('pawl_secrets')
      .set({ envelope: slot('envelope') })
      .where('resource_id', '=', slot('resourceId'))
      .where('name', '=', slot('name'))
      .where('envelope', '=', slot('old')),
  )
}

function resealingOutcome(database: Database) {
  return prepare(database, (slot) =>
    queries
      .updateTable('pawl_outcomes')
      .set({ secrets: slot('secrets') })
      .where('tenant', '=', slot('tenant'))
      .where('key', '=', slot('key'))
      .where('secrets', '=', slot('old')),
  )
}
