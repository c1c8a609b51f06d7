/** How does PostgreSQL keep what is delivered to whom? @module */

import type { DeliveryReads, DeliveryWrites } from '../deliveries.ts'
import { createClaims } from './claims.ts'
import { createDeliveryChanges } from './delivery-changes.ts'
import { createDeliveryLists } from './delivery-lists.ts'
import { createQueue } from './delivery-queue.ts'
import { createDestinationReads } from './destination-reads.ts'
import { createDestinations } from './destinations.ts'
import { createDispatching, createDispatchPlace } from './dispatching.ts'
import type { OnSession } from './on-session.ts'
import type { Statements } from './statement.ts'

/** What deliveries need: what reads, and what writes. */
export interface DeliveryStatements {
  readonly reads: OnSession<DeliveryReads>
  readonly writes: OnSession<DeliveryWrites>
}

/** Prepares what deliveries need. */
export function createDeliveries(statements: Statements): DeliveryStatements {
  const queue = createQueue(statements)
  const lists = createDeliveryLists(statements)
  const destinationReads = createDestinationReads(statements)
  const destinations = createDestinations(statements, queue, destinationReads)
  const place = createDispatchPlace(statements)
  const { dispatchRow, ...dispatching } = createDispatching(place, queue, destinations)
  return {
    reads: { ...lists, ...destinationReads, dispatchRow },
    writes: {
      ...dispatching,
      ...createClaims(statements, queue),
      ...createDeliveryChanges(statements, queue, place, lists),
      moveVerification: destinations.moveVerification,
    },
  }
}
