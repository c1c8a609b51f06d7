/** Are consumers at places that the log has? @module */

import type { ConsumerRow, ParkedRow } from '../store/consumers.ts'
import { differ, type Inspection, readable } from './inspection.ts'

// Each of them is looked up in the log.
const AT_ONCE = 100

/** Checks where consumers are and what they have put aside. */
export async function verifyConsumers(inspection: Inspection): Promise<void> {
  await readable(inspection, null, 'pawl_consumers', async () => {
    const { store } = inspection.context
    for (const consumer of await store.listConsumers(null)) {
      await verifyPosition(inspection, consumer)
      const parked = await store.listParked(consumer)
      for (let next = 0; next < parked.length; next += AT_ONCE)
        await verifyParked(inspection, consumer, parked.slice(next, next + AT_ONCE))
    }
  })
}

async function verifyPosition(
  inspection: Inspection,
  { tenant, name, position }: ConsumerRow,
): Promise<void> {
  // Read after the consumer: by now the log reaches further.
  const { head } = await inspection.context.store.log()
  if (position >= 0 && position <= head) return
  const message = `the consumer "${name}" of tenant "${tenant}" is at place ${position}; the log ends at ${head}`
  differ(inspection, { kind: 'consumer', resourceId: null }, message)
}

async function verifyParked(
  inspection: Inspection,
  { tenant, name }: ConsumerRow,
  parked: readonly ParkedRow[],
): Promise<void> {
  const { store } = inspection.context
  const entries = await store.entriesAt(parked.map(({ seq }) => seq))
  const found = new Map(entries.map((entry) => [entry.seq, entry]))
  const { pruned } = await store.log()
  for (const { seq, eventId } of parked) {
    const entry = found.get(seq)
    if (entry?.id === eventId || (entry === undefined && seq <= pruned)) continue
    const message = `the consumer "${name}" of tenant "${tenant}" has put ${eventId} aside, which is not at place ${seq} of the log`
    differ(inspection, { kind: 'consumer', resourceId: null, seq }, message)
  }
}
