/** How does SQLite answer a plan's questions? @module */

import type { Database } from 'better-sqlite3'
import type { Answers, Question } from '../../core/questions.ts'
import type { OutcomeRow, ResourceRow } from '../../core/rows.ts'
import { resourceColumns, timerColumns, toPlacedResource, toTimerRow } from '../columns.ts'
import type { Placed } from '../queries.ts'
import { headReader } from './listing.ts'
import { prepare, queries } from './statement.ts'

/** Answers one question at a time, within the transaction that is open. */
export type Answerer = (question: Question) => Answers[Question['ask']]

/** Prepares the statements behind the questions. */
export function createAnswerer(database: Database): Answerer {
  const resource = resourceReader(database)
  const referrers = liveReferrers(database)
  const timer = timerByPosition(database)
  const timers = timersOf(database)
  const secrets = secretsOf(database)
  const outcome = outcomeByKey(database)
  const head = headReader(database)
  return (question) => {
    switch (question.ask) {
      case 'resource':
        return resource(question.id)
      case 'referrers':
        return referrers.all(question).map(({ resource_id }) => resource_id)
      case 'timer': {
        const row = timer.get(question)
        return row && toTimerRow(row)
      }
      case 'timers':
        return timers.all(question).map(toTimerRow)
      case 'secrets':
        return secrets.all(question).map((row) => ({ ...row, envelope: Buffer.from(row.envelope) }))
      case 'outcome': {
        const row = outcome.get(question)
        return row && toOutcome(row)
      }
      case 'head':
        return head()
    }
  }
}

/** Prepares reading one resource by its id; as an array, since every command does. */
export function resourceReader(
  database: Database,
): (id: string) => Placed<ResourceRow> | undefined {
  const statement = prepare(
    database,
    (slot) =>
      queries.selectFrom('pawl_resources').select(resourceColumns).where('id', '=', slot('id')),
    true,
  )
  return (id) => {
    const columns = statement.get({ id })
    return columns && toPlacedResource(columns)
  }
}

function liveReferrers(database: Database) {
  return prepare(database, (slot) =>
    queries
      .selectFrom('pawl_references')
      .select('resource_id')
      .where('target_id', '=', slot('targetId'))
      .where('type', '=', slot('type'))
      .where('field', '=', slot('field'))
      .where('live', '=', 1)
      .orderBy('position')
      .limit(slot('limit')),
  )
}

function timerByPosition(database: Database) {
  return prepare(database, (slot) =>
    queries.selectFrom('pawl_timers').select(timerColumns).where('position', '=', slot('position')),
  )
}

function timersOf(database: Database) {
  return prepare(database, (slot) =>
    queries
      .selectFrom('pawl_timers')
      .select(timerColumns)
      .where('resource_id', '=', slot('resourceId')),
  )
}

function secretsOf(database: Database) {
  return prepare(database, (slot) =>
    queries
      .selectFrom('pawl_secrets')
      .select(['resource_id as resourceId', 'name', 'envelope'])
      .where('resource_id', '=', slot('resourceId')),
  )
}

function outcomeByKey(database: Database) {
  return prepare(database, (slot) =>
    queries
      .selectFrom('pawl_outcomes')
      .select(['tenant', 'key', 'fingerprint', 'resource', 'changed', 'events', 'secrets'])
      .select('created_at as createdAt')
      .where('tenant', '=', slot('tenant'))
      .where('key', '=', slot('key')),
  )
}

type StoredOutcome = Omit<OutcomeRow, 'changed' | 'events' | 'secrets'> & {
  readonly changed: number
  readonly events: string
  readonly secrets: Uint8Array | null
}

function toOutcome(row: StoredOutcome): OutcomeRow {
  return {
    ...row,
    changed: row.changed === 1,
    events: JSON.parse(row.events),
    secrets: row.secrets && Buffer.from(row.secrets),
  }
}
