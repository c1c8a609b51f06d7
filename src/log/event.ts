/** What is an event to those who read the log? @module */

import { toIso } from '../clock.ts'
import type { ResourceTypes, SummaryOf } from '../resource.ts'
import type { ReadEntry } from '../store/queries.ts'

/** Why something happened. */
export interface Cause {
  /** The name of the command, or of the timer. */
  readonly command: string
  /** Who was behind it, as given by the caller. */
  readonly actor: Readonly<Record<string, unknown>> | null
  /** The same for everything that one call caused. */
  readonly correlation_id: string
  /** The entry of the log that led to this one; null for the first. */
  readonly causation_id: string | null
}

/** Something that happened, at its place in the log. */
export interface Event<Type extends string = string, Data = unknown> {
  readonly id: string
  readonly object: 'event'
  /** `object.action`. */
  readonly type: Type
  /** The summary of the resource at the time of the event. */
  readonly data: Data
  /** ISO 8601, UTC. */
  readonly created_at: string
  /** The commit order, without holes: a reader that has seen n never later sees a smaller one. */
  readonly seq: number
  readonly resource_id: string
  /** The version of the resource that came with the change. */
  readonly resource_version: number
  readonly tenant: string
  /** Whether it is a trace of a change that no public event speaks of. */
  readonly internal: boolean
  readonly cause: Cause
}

/** The events of a resource, a union that `type` narrows. */
export type EventOf<T extends ResourceTypes> = {
  [Type in T['event']]: Event<Type, SummaryOf<T>>
}[T['event']]

/** The event that an entry of the log stands for. */
export function toEvent(entry: ReadEntry): Event {
  return {
    id: entry.id,
    object: 'event',
    type: entry.type,
    data: JSON.parse(entry.data),
    created_at: toIso(entry.createdAt),
    seq: entry.seq,
    resource_id: entry.resourceId,
    resource_version: entry.resourceVersion,
    tenant: entry.tenant,
    internal: entry.internal,
    cause: {
      command: entry.cause,
      actor: entry.actor === null ? null : JSON.parse(entry.actor),
      correlation_id: entry.correlationId,
      causation_id: entry.causationId,
    },
  }
}
