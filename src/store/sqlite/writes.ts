/** How does SQLite write what a transaction comes to? @module */

import type { Database } from 'better-sqlite3'
import { sql } from 'kysely'
import type { ReferenceRow, SecretChange } from '../../core/rows.ts'
import type { Writes } from '../store.ts'
import { createListing } from './listing.ts'
import { prepare, queries, type Slot } from './statement.ts'
import { timerWriter } from './timer-writes.ts'

/** Writes everything, in an order that satisfies the foreign keys. */
export type Writer = (writes: Writes) => void

/** Prepares the statements that write. */
export function createWriter(database: Database): Writer {
  const insertResource = insertingResource(database)
  const updateResource = updatingResource(database)
  const noteResource = notingResource(database)
  const insertEntry = insertingEntry(database)
  const listing = createListing(database)
  const writeTimer = timerWriter(database)
  const writeSecret = secretWriter(database)
  const writeReference = referenceWriter(database)
  const endReferences = endingReferences(database)
  const insertOutcome = insertingOutcome(database)
  const writeResources = ({ created, changed, noted }: Writes): void => {
    for (const row of created) insertResource.run(row)
    for (const row of changed) {
      if (updateResource.run(row) !== 1)
        throw new Error(`${row.id} is not at a version before ${row.version}`)
      if (row.final) endReferences.run(row)
    }
    for (const row of noted) noteResource.run(row)
  }
  const writeEntries = ({ entries }: Writes): void => {
    for (const entry of entries) insertEntry.run(entry)
    const [first, last] = [entries[0], entries.at(-1)]
    if (first !== undefined && last !== undefined) listing.afterGrowth(first.seq - 1, last.seq)
  }
  return (writes) => {
    writeResources(writes)
    writeEntries(writes)
    for (const change of writes.timers) writeTimer(change)
    for (const change of writes.secrets) writeSecret(change)
    for (const reference of writes.references) writeReference(reference)
    for (const outcome of writes.outcomes) {
      insertOutcome.run({ ...outcome, events: JSON.stringify(outcome.events) })
    }
  }
}

function insertingResource(database: Database) {
  return prepare(database, (slot) =>
    queries.insertInto('pawl_resources').values({
      id: slot('id'),
      tenant: slot('tenant'),
      type: slot('type'),
      status: slot('status'),
      version: slot('version'),
      final: slot('final'),
      value: slot('value'),
      memory: slot('memory'),
      context: slot('context'),
      machine: slot('machine'),
      created_at: slot('createdAt'),
      updated_at: slot('updatedAt'),
      status_since: slot('statusSince'),
      head: slot('head'),
      latest: slot('latest'),
      entries: slot('entries'),
    }),
  )
}

function updatingResource(database: Database) {
  return prepare(database, (slot) =>
    queries
      .updateTable('pawl_resources')
      .set({
        status: slot('status'),
        version: slot('version'),
        final: slot('final'),
        value: slot('value'),
        memory: slot('memory'),
        context: slot('context'),
        machine: slot('machine'),
        updated_at: slot('updatedAt'),
        status_since: slot('statusSince'),
        head: slot('head'),
        latest: slot('latest'),
        entries: slot('entries'),
      })
      .where('id', '=', slot('id'))
      .where('version', '<', slot('version')),
  )
}

function notingResource(database: Database) {
  return prepare(database, (slot) =>
    queries
      .updateTable('pawl_resources')
      .set({ head: slot('head'), latest: slot('latest'), entries: slot('entries') })
      .where('id', '=', slot('id')),
  )
}

function insertingEntry(database: Database) {
  return prepare(database, (slot) =>
    queries.insertInto('pawl_events').values({
      seq: slot('seq'),
      id: slot('id'),
      tenant: slot('tenant'),
      type: slot('type'),
      internal: slot('internal'),
      resource_id: slot('resourceId'),
      resource_version: slot('resourceVersion'),
      data: slot('data'),
      previous_status: slot('previousStatus'),
      previous_ms: slot('previousMs'),
      command: slot('command'),
      change: slot('change'),
      cause: slot('cause'),
      actor: slot('actor'),
      correlation_id: slot('correlationId'),
      causation_id: slot('causationId'),
      created_at: slot('createdAt'),
      hash: slot('hash'),
      ordinal: slot('ordinal'),
      previous: slot('previous'),
    }),
  )
}

function secretWriter(database: Database): (change: SecretChange) => void {
  const set = prepare(database, (slot) =>
    queries
      .insertInto('pawl_secrets')
      .values({ resource_id: slot('resourceId'), name: slot('name'), envelope: slot('envelope') })
      .onConflict((conflict) =>
        conflict.columns(['resource_id', 'name']).doUpdateSet({ envelope: slot('envelope') }),
      ),
  )
  const erase = prepare(database, (slot) =>
    queries
      .deleteFrom('pawl_secrets')
      .where('resource_id', '=', slot('resourceId'))
      .where('name', '=', slot('name')),
  )
  const eraseAll = prepare(database, (slot) =>
    queries.deleteFrom('pawl_secrets').where('resource_id', '=', slot('resourceId')),
  )
  return (change) => {
    if (change.change === 'set') set.run({ ...change.secret })
    else if (change.name === null) eraseAll.run(change)
    else erase.run(change)
  }
}

function referenceWriter(database: Database): (reference: Writes['references'][number]) => void {
  const of = (slot: Slot<'resourceId'>, column: 'position' | 'final') =>
    queries.selectFrom('pawl_resources').select(column).where('id', '=', slot('resourceId'))
  // One row by its values: for rows that a query gives, SQLite prepares to undo them one by one.
  const set = prepare(database, (slot: Slot<keyof ReferenceRow>) =>
    queries.replaceInto('pawl_references').values({
      resource_id: slot('resourceId'),
      field: slot('field'),
      type: slot('type'),
      target_id: slot('targetId'),
      live: sql<number>`1 - (${of(slot, 'final')})`,
      position: of(slot, 'position'),
    }),
  )
  const unset = prepare(database, (slot) =>
    queries
      .deleteFrom('pawl_references')
      .where('resource_id', '=', slot('resourceId'))
      .where('field', '=', slot('field')),
  )
  return (reference) => {
    const { targetId } = reference
    if (targetId === null) unset.run(reference)
    else set.run({ ...reference, targetId })
  }
}

function endingReferences(database: Database) {
  return prepare(database, (slot) =>
    queries.updateTable('pawl_references').set({ live: 0 }).where('resource_id', '=', slot('id')),
  )
}

function insertingOutcome(database: Database) {
  return prepare(database, (slot) =>
    queries.replaceInto('pawl_outcomes').values({
      tenant: slot('tenant'),
      key: slot('key'),
      fingerprint: slot('fingerprint'),
      resource: slot('resource'),
      changed: slot('changed'),
      events: slot('events'),
      secrets: slot('secrets'),
      created_at: slot('createdAt'),
    }),
  )
}
