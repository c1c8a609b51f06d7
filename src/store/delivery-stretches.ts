/** In which stretches does an index have the deliveries of a list? @module */

import type { DeliveryQuery, DeliveryStatus } from './deliveries.ts'
import { type DeliveriesTable, isOpen } from './delivery-schema.ts'

type Stored = DeliveriesTable['status']

const STORED: readonly Stored[] = ['pending', 'waiting', 'succeeded', 'exhausted', 'canceled']

/** A stretch of an index: of one status, and of it those that somebody is at, or the others. */
export interface Stretch {
  readonly status?: Stored
  readonly delivering?: 0 | 1
}

/** An index leads to the deliveries of one status: those of several are read as far as the page reaches, and merged. */
export function stretchesOf(query: DeliveryQuery): readonly Stretch[] {
  const { statuses, destination, seq, tenant } = query
  if (statuses !== null) return statuses.flatMap(stretchesWith)
  const isNarrow = destination !== null || seq !== null || tenant === null
  return isNarrow ? [{}] : STORED.map((status) => ({ status }))
}

function stretchesWith(status: DeliveryStatus): readonly Stretch[] {
  // Whoever is at one is so in either of the two.
  if (status === 'delivering')
    return [
      { status: 'pending', delivering: 1 },
      { status: 'waiting', delivering: 1 },
    ]
  return [isOpen(status) ? { status, delivering: 0 } : { status }]
}
