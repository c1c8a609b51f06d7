/** Are deliveries those of events that the log has, to destinations that exist? @module */

import type { DeliveryRow, DestinationRow } from '../store/deliveries.ts'
import { isOpen } from '../store/delivery-schema.ts'
import { differ, type Inspection, readable } from './inspection.ts'

// Each of them is looked up in the log.
const AT_ONCE = 100

/** Checks how far the log has been given out, and what has become of it. */
export async function verifyDeliveries(inspection: Inspection): Promise<void> {
  await readable(inspection, null, 'pawl_destinations', () => verifyDestinations(inspection))
  await readable(inspection, null, 'pawl_deliveries', async () => {
    for (let after: Pick<DeliveryRow, 'seq' | 'destination'> | null = null; ; ) {
      const rows: readonly DeliveryRow[] = await inspection.context.store.listDeliveries({
        ...{ tenant: null, destination: null, seq: null, statuses: null },
        ...{ after, order: 'asc', limit: AT_ONCE },
      })
      await verifySome(inspection, rows)
      const last = rows.at(-1)
      if (rows.length < AT_ONCE || last === undefined) return
      after = { seq: last.seq, destination: last.destination }
    }
  })
}

async function verifyDestinations(inspection: Inspection): Promise<void> {
  const { store } = inspection.context
  const destinations = await store.listDestinations()
  const { position } = await store.dispatchRow()
  // Read after the others: by now the log reaches further.
  const { head } = await store.log()
  if (position > head) {
    const message = `the log has been given out to destinations up to place ${position}; it ends at ${head}`
    differ(inspection, { kind: 'delivery', resourceId: null }, message)
  }
  for (const destination of destinations) await verifyDestination(inspection, destination, head)
}

async function verifyDestination(
  inspection: Inspection,
  { id, tenant, place }: DestinationRow,
  head: number,
): Promise<void> {
  const resource = await inspection.context.store.findResource(id)
  const subject = { kind: 'delivery', resourceId: id } as const
  if (resource === undefined || resource.tenant !== tenant)
    differ(inspection, subject, `there is no destination ${id} of tenant "${tenant}"`)
  if (place !== null && place > head)
    differ(
      inspection,
      subject,
      `it has been given the log up to place ${place}; it ends at ${head}`,
    )
}

async function verifySome(inspection: Inspection, rows: readonly DeliveryRow[]): Promise<void> {
  const { store } = inspection.context
  const entries = await store.entriesAt([...new Set(rows.map(({ seq }) => seq))])
  const found = new Map(entries.map((entry) => [entry.seq, entry]))
  const { pruned } = await store.log()
  for (const row of rows) {
    const { seq, eventId, eventType, resourceId, tenant, destinationId, attempts } = row
    // What has been pruned since takes its deliveries along.
    if (seq <= pruned) continue
    const subject = { kind: 'delivery', resourceId: destinationId, seq } as const
    const entry = found.get(seq)
    const isOfEvent =
      entry?.id === eventId &&
      entry.type === eventType &&
      entry.resourceId === resourceId &&
      entry.tenant === tenant &&
      !entry.internal
    if (!isOfEvent)
      differ(
        inspection,
        subject,
        `${eventId} is to be delivered, which is not at place ${seq} of the log`,
      )
    if (await isStuck(inspection, row))
      differ(inspection, subject, `${eventId} waits for its turn, and nothing is before it`)
    const { length } = await store.listAttempts(row)
    if (length < attempts)
      differ(
        inspection,
        subject,
        `${attempts} attempts have been made to deliver ${eventId}, ${length} are noted`,
      )
  }
}

/** Whether nothing will ever make an open delivery's turn come. */
async function isStuck({ context: { store } }: Inspection, row: DeliveryRow): Promise<boolean> {
  const waits = ({ status, ready }: DeliveryRow) => isOpen(status) && !ready
  if (!waits(row)) return false
  const first = await store.firstInQueue(row)
  // What was before it may just have ended: then its turn has come.
  const again = first ?? (await store.findDelivery(row))
  return again === undefined || waits(again)
}
