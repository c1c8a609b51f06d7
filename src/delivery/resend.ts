/** How is an event delivered once more, or a part of the log? `deliveries.resend` and `deliveries.replay` @module */

import type { Context } from '../context.ts'
import { type Issue, invalidInput, notFound, PawlError, refuseIssues } from '../errors.ts'
import { type EventPattern, type Reader, toFilter } from '../log/events.ts'
import { type Moment, momentOf } from '../log/filters.ts'
import { nowOf } from '../runtime/consumer.ts'
import { idIssues, unknownKeys } from '../runtime/options.ts'
import { nextTurn } from '../runtime/wait.ts'
import type { DestinationRow } from '../store/deliveries.ts'
import type { EntryQuery, ReadEntry } from '../store/queries.ts'
import { DESTINATION } from './deliverer.ts'
import { findDelivery } from './deliveries.ts'
import { type Delivery, toDelivery } from './delivery.ts'
import { draftOf } from './dispatch.ts'
import { isWanted } from './patterns.ts'

/** Which part of the log to send to which destination. */
export interface ReplayOptions {
  /** The id of a destination that is active. */
  readonly destination: string
  /** From this moment on. @defaultValue the beginning of the log */
  readonly since?: Moment
  /** Before this moment. @defaultValue now */
  readonly until?: Moment
  /** One or many event types or patterns. @defaultValue those that the destination wants */
  readonly type?: EventPattern<string> | readonly EventPattern<string>[]
  /** Only counts. @defaultValue false */
  readonly dryRun?: boolean
}

/** What a replay sends. */
export interface Replay {
  /** How many events it is about. */
  readonly events: number
}

/** Has a delivery made at once, also one that has ended. Throws `not_found`, and `illegal_transition` where the destination is not active. */
export async function resendDelivery(
  context: Context,
  reader: Reader,
  id: string,
): Promise<Delivery> {
  const row = await findDelivery(context, reader, id)
  await requireActive(context, reader, row.destinationId, 'resend')
  const sent = await context.store.resendDelivery(row, nowOf(context))
  if (sent === undefined) throw notFound(id, 'delivery')
  return toDelivery(sent)
}

async function requireActive(
  { store }: Context,
  { tenant }: Reader,
  id: string,
  command: string,
): Promise<void> {
  const resource = await store.findResource(id)
  if (resource?.type !== DESTINATION || resource.tenant !== tenant) throw notFound(id, DESTINATION)
  const { status } = resource
  if (status === 'active') return
  const message = `the destination ${id} is ${status}; nothing is sent to it before it is active again`
  throw new PawlError('illegal_transition', `${command} is not legal now: ${message}`, {
    ...{ resource_id: id, status, command, reason: 'reference', accepts: [] },
    blockers: [{ code: 'not_active', message, resource_id: id }],
  })
}

const OPTIONS = ['destination', 'since', 'until', 'type', 'dryRun']

// Some milliseconds of work, after which others may write.
const AT_ONCE = 250

/** Sends a part of the log to a destination, beside what is new; resolves when all of it is lined up. */
export async function replayLog(
  context: Context,
  reader: Reader,
  options: ReplayOptions,
): Promise<Replay> {
  const query = await toQuery(context, reader, options)
  await requireActive(context, reader, options.destination, 'replay')
  const destination = await context.store.findDestination(options.destination)
  if (destination === undefined) throw notYetKnown(options.destination)
  const isAsked = askedBy(destination, options)
  let [events, after] = [0, 0 as number | undefined]
  while (after !== undefined) {
    const entries = await context.store.listEntries({ ...query, after })
    const asked = entries.filter(isAsked)
    events += asked.length
    if (options.dryRun !== true) await lineUp(context, destination, asked)
    after = entries.length === AT_ONCE ? entries.at(-1)?.seq : undefined
    await nextTurn()
  }
  return { events }
}

function lineUp(
  context: Context,
  destination: DestinationRow,
  entries: readonly ReadEntry[],
): Promise<void> {
  const drafts = entries.map((entry) => draftOf(entry, destination))
  return context.store.replayDeliveries(drafts, nowOf(context))
}

/** Whether an entry is to be sent; never one about the destination itself. */
function askedBy(
  { id, patterns }: DestinationRow,
  { type }: ReplayOptions,
): (entry: ReadEntry) => boolean {
  return (entry) =>
    entry.resourceId !== id && (type !== undefined || isWanted(patterns, entry.type))
}

async function toQuery(
  context: Context,
  reader: Reader,
  options: ReplayOptions,
): Promise<Omit<EntryQuery, 'after'>> {
  const issues: Issue[] = [
    ...unknownKeys(options, OPTIONS),
    ...idIssues('destination', options.destination),
  ]
  const { type, dryRun } = options
  const filter = await toFilter(context, reader, type === undefined ? {} : { type }, issues)
  const since = momentOf('since', options.since, issues)
  const until = momentOf('until', options.until, issues)
  if (dryRun !== undefined && typeof dryRun !== 'boolean')
    issues.push({ path: ['dryRun'], code: 'invalid_type', message: 'has to be true or false' })
  refuseIssues('the options of replay', issues)
  // What has not been given out yet comes by itself.
  const { position: upTo } = await context.store.dispatchRow()
  return { ...filter, since, until, upTo, order: 'asc', limit: AT_ONCE }
}

function notYetKnown(id: string): Error {
  const message = 'has just become active; try again when its first events have been given out'
  return invalidInput(`the destination ${id}`, [
    { path: ['destination'], code: 'not_dispatched', message },
  ])
}
