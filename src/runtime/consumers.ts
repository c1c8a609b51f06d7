/** Where are the consumers, and what have they put aside? `consumers` @module */

import { toIso } from '../clock.ts'
import type { Context } from '../context.ts'
import { notFound, PawlError, refuseIssues } from '../errors.ts'
import type { Reader } from '../log/events.ts'
import type { ConsumerRow } from '../store/consumers.ts'
import { nowOf } from './consumer.ts'
import { idIssues } from './options.ts'

/** A consumer. */
export interface Consumer {
  readonly name: string
  readonly tenant: string
  /** The last place of the log that it is done with. */
  readonly position: number
  /** How many places the log is ahead of it. */
  readonly lag: number
  /** Whether somebody runs it now, here or in another process. */
  readonly running: boolean
  /** How often the event that it is at has failed. */
  readonly attempts: number
  /** When that event is tried again, ISO 8601, UTC; null when it has not failed. */
  readonly next_attempt_at: string | null
  /** Why it failed last; null when it has not. */
  readonly last_error: string | null
  /** How many events it has given up on. */
  readonly parked: number
}

/** An event that a consumer has given up on. */
export interface ParkedEvent {
  readonly event_id: string
  /** What its handler threw last. */
  readonly error: string
  readonly attempts: number
  /** ISO 8601, UTC. */
  readonly parked_at: string
}

/** Lists the consumers of a tenant by name. */
export async function listConsumers(
  context: Context,
  { tenant }: Reader,
): Promise<readonly Consumer[]> {
  const rows = await context.store.listConsumers(tenant)
  const { head } = await context.store.log()
  const consumers: Consumer[] = []
  for (const row of rows) {
    const { length } = await context.store.listParked(row)
    consumers.push({ ...toConsumer(row, head, nowOf(context)), parked: length })
  }
  return consumers
}

function toConsumer(row: ConsumerRow, head: number, now: number): Omit<Consumer, 'parked'> {
  return {
    name: row.name,
    tenant: row.tenant,
    position: row.position,
    lag: Math.max(0, head - row.position),
    running: row.owner !== null && row.leasedUntil > now,
    attempts: row.attempts,
    next_attempt_at: row.attempts > 0 ? toIso(row.nextAt) : null,
    last_error: row.lastError,
  }
}

/** Lists the events that a consumer has given up on, oldest first; none for a name that has never run. */
export async function listParked(
  { store }: Context,
  { tenant }: Reader,
  name: string,
): Promise<readonly ParkedEvent[]> {
  refuseIssues('the consumer', idIssues('name', name))
  const rows = await store.listParked({ tenant, name })
  return rows.map(({ eventId, error, attempts, parkedAt }) => ({
    ...{ event_id: eventId, error, attempts, parked_at: toIso(parkedAt) },
  }))
}

/** Has a consumer try a parked event once more, before the events that come next. Throws `not_found`. */
export async function retryParked(
  { store, arrivals }: Context,
  { tenant }: Reader,
  name: string,
  eventId: string,
): Promise<void> {
  refuseIssues('the parked event', [...idIssues('name', name), ...idIssues('eventId', eventId)])
  if (!(await store.retryParked({ tenant, name }, eventId))) throw notFound(eventId, 'parked event')
  arrivals.announce()
}

/** Forgets a consumer, its position and what it has put aside. Throws `not_found`, and `already_exists` while it runs. */
export async function removeConsumer(
  context: Context,
  { tenant }: Reader,
  name: string,
): Promise<void> {
  refuseIssues('the consumer', idIssues('name', name))
  if (await context.store.removeConsumer({ tenant, name }, nowOf(context))) return
  if ((await context.store.findConsumer({ tenant, name })) === undefined) {
    throw notFound(name, 'consumer')
  }
  const message = `the consumer ${JSON.stringify(name)} is running; stop it first`
  throw new PawlError('already_exists', message, { resource_id: name })
}
