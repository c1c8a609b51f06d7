/** How are all ciphertexts of a database gone through and replaced? @module */

import { sql } from 'kysely'
import type { OutcomeRow, SecretRow } from '../../core/rows.ts'
import type { Reads, SecretOutcome, Upkeep } from '../store.ts'
import type { OnSession } from './on-session.ts'
import type { Slot, Statements } from './statement.ts'

/** Prepares going through the ciphertexts. */
export function createSecretLists(
  statements: Statements,
): OnSession<Pick<Reads, 'secretsAfter' | 'secretOutcomesAfter'>> {
  const [secrets, outcomes] = [secretsAfter(statements), outcomesAfter(statements)]
  return {
    secretsAfter: (session, after, limit) =>
      secrets.all(session, { ...(after ?? { resourceId: '', name: '' }), limit }),
    secretOutcomesAfter: (session, after, limit) =>
      outcomes.all(session, { ...(after ?? { tenant: '', key: '' }), limit }),
  }
}

/** Prepares replacing ciphertexts. */
export function createResealing(
  statements: Statements,
): OnSession<Pick<Upkeep, 'reseal' | 'resealOutcomes'>> {
  const [secrets, outcomes] = [resealing(statements), resealingOutcomes(statements)]
  return {
    reseal: (session, rows) =>
      secrets.run(session, {
        owners: rows.map(({ resourceId }) => resourceId),
        names: rows.map(({ name }) => name),
        ciphertexts: rows.map(({ envelope }) => envelope),
        old: rows.map(({ old }) => old),
      }),
    resealOutcomes: (session, rows) =>
      outcomes.run(session, {
        owners: rows.map(({ tenant }) => tenant),
        names: rows.map(({ key }) => key),
        ciphertexts: rows.map(({ secrets: ciphertext }) => ciphertext),
        old: rows.map(({ old }) => old),
      }),
  }
}

function secretsAfter({ queries, prepare }: Statements) {
  return prepare((slot: Slot<'resourceId' | 'name' | 'limit'>) =>
    queries
      .selectFrom('pawl_secrets')
      .innerJoin('pawl_resources', 'pawl_resources.id', 'pawl_secrets.resource_id')
      .select(['resource_id as resourceId', 'name', 'envelope', 'type'])
      .where(({ eb, refTuple, tuple }) =>
        eb(refTuple('resource_id', 'name'), '>', tuple(slot('resourceId'), slot('name'))),
      )
      .orderBy('resource_id')
      .orderBy('name')
      .limit(slot('limit'))
      .$castTo<SecretRow & { readonly type: string }>(),
  )
}

function outcomesAfter({ queries, prepare }: Statements) {
  return prepare((slot: Slot<keyof Pick<OutcomeRow, 'tenant' | 'key'> | 'limit'>) =>
    queries
      .selectFrom('pawl_outcomes')
      .select(['tenant', 'key', 'secrets'])
      .where('secrets', 'is not', null)
      .where(({ eb, refTuple, tuple }) =>
        eb(refTuple('tenant', 'key'), '>', tuple(slot('tenant'), slot('key'))),
      )
      .orderBy('tenant')
      .orderBy('key')
      .limit(slot('limit'))
      .$castTo<SecretOutcome>(),
  )
}

type ResealingSlot = Slot<'owners' | 'names' | 'ciphertexts' | 'old'>

function given(slot: ResealingSlot) {
  return sql`
    unnest(${slot('owners')}::text[], ${slot('names')}::text[], ${slot('ciphertexts')}::bytea[], ${slot('old')}::bytea[])
      as given (owner, name, ciphertext, old)`
}

// Both lock in the order of keys what still is as it was, so that two that do the same never wait for each other.

function resealing({ table, prepare }: Statements) {
  return prepare((slot: ResealingSlot) => {
    const secrets = table('pawl_secrets')
    return sql`
      with held as (
        select secret.resource_id, secret.name, given.ciphertext
        from ${secrets} as secret join ${given(slot)}
          on secret.resource_id = given.owner and secret.name = given.name
        where secret.envelope = given.old
        order by secret.resource_id, secret.name
        for update of secret
      )
      update ${secrets} as secret set envelope = held.ciphertext from held
      where secret.resource_id = held.resource_id and secret.name = held.name`
  })
}

function resealingOutcomes({ table, prepare }: Statements) {
  return prepare((slot: ResealingSlot) => {
    const outcomes = table('pawl_outcomes')
    return sql`
      with held as (
        select outcome.tenant, outcome.key, given.ciphertext
        from ${outcomes} as outcome join ${given(slot)}
          on outcome.tenant = given.owner and outcome.key = given.name
        where outcome.secrets = given.old
        order by outcome.tenant, outcome.key
        for update of outcome
      )
      update ${outcomes} as outcome set secrets = held.ciphertext from held
      where outcome.tenant = held.tenant and outcome.key = held.key`
  })
}
