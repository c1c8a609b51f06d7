/** What can be done about deliveries? `deliveries` @module */

import type { ResourceView } from '../core/definition.ts'
import type { Kind } from '../core/kind.ts'
import { notFound, PawlError } from '../errors.ts'
import { taken } from '../given.ts'
import type { Reader } from '../log/events.ts'
import { type PagePromise, paged } from '../log/page.ts'
import { getResource } from '../log/resources.ts'
import { explainCommand } from '../runtime/commands.ts'
import { checkId } from '../runtime/options.ts'
import { beginLife } from '../runtime/running.ts'
import { DESTINATION, type Deliverer, loadDestination } from './deliverer.ts'
import { type DeliveryFilter, getDelivery, listDeliveries } from './deliveries.ts'
import type { Delivery, DeliveryWithAttempts } from './delivery.ts'
import { type DeliveryExplanation, type DeliveryQuestion, explainDelivery } from './explain.ts'
import { type Replay, type ReplayOptions, replayLog, resendDelivery } from './resend.ts'
import { verifyDestination } from './verification.ts'
import type { Worker } from './worker.ts'

/** What is delivered to whom, and what can be done about it. */
export interface DeliveriesHandle<Destination = ResourceView> {
  /** Lists deliveries, those of the newest events first by default. */
  list(filter?: DeliveryFilter): PagePromise<Delivery>
  /** Reads a delivery with all that has been tried. Throws `not_found`. */
  get(id: string): Promise<DeliveryWithAttempts>
  /**
   * Has a delivery made at once: one that waits, with the retries that it has left; one that has ended, with all of
   * them again. The id stays the same.
   *
   * Throws `not_found`; `illegal_transition`, reason `reference`, when its destination is not active.
   */
  resend(id: string): Promise<Delivery>
  /** Tells whether an event has been delivered to a destination, and why not. Throws `not_found`. */
  explain(question: DeliveryQuestion): Promise<DeliveryExplanation>
  /**
   * Sends a part of the log to a destination that is active, beside what is new and slower than that; resolves when
   * all of it is lined up. What is on its way already is not sent twice.
   *
   * Throws like `resend`, and `invalid_input`.
   */
  replay(options: ReplayOptions): Promise<Replay>
  /**
   * Verifies a destination now; gives it as it is then, active or with the reason why not. One that is active is left
   * as it is. Throws `illegal_transition` for one that is not to be verified, `not_found`.
   */
  verify(destinationId: string): Promise<Destination>
}

/** Binds what can be done about the deliveries of a tenant. */
export function toDeliveries(
  deliverer: Deliverer,
  worker: Worker,
  reader: Reader,
): DeliveriesHandle {
  const { context } = deliverer
  return {
    list: (filter) => paged(filter, (given) => listDeliveries(context, reader, given)),
    get: (id) => getDelivery(context, reader, id),
    resend: async (id) => {
      const sent = await resendDelivery(context, reader, id)
      worker.wake()
      return sent
    },
    explain: async (question) => explainDelivery(deliverer, reader, taken(question)),
    replay: async (options) => {
      // What has just become active has to be known by then.
      await worker.dispatch()
      const replay = await replayLog(context, reader, taken(options))
      worker.wake()
      return replay
    },
    verify: (id) => verifyNow(deliverer, reader, id),
  }
}

async function verifyNow(
  deliverer: Deliverer,
  { tenant }: Reader,
  id: string,
): Promise<ResourceView> {
  const { context } = deliverer
  checkId(id)
  const kind = context.registry.byType.get(DESTINATION)
  if (kind === undefined) throw notFound(id, DESTINATION)
  const resource = await getResource(context, tenant, kind, id)
  if (resource.status === 'active') return resource
  await requireVerifiable(deliverer, tenant, kind, resource)
  const life = beginLife(context)
  try {
    await verifyDestination(deliverer, id, life.signal)
  } finally {
    life.end()
  }
  return getResource(context, tenant, kind, id)
}

/** Throws `illegal_transition` for a destination that nothing could activate now, or that only its operator does. */
async function requireVerifiable(
  deliverer: Deliverer,
  tenant: string,
  kind: Kind,
  { id, status }: ResourceView,
): Promise<void> {
  const explained = await explainCommand(deliverer.context, tenant, kind, id, { type: 'activate' })
  const { settings } = (await loadDestination(deliverer, id)) ?? {}
  if (explained.accepted && settings?.verification !== 'manual') return
  const [reason, why] = explained.accepted
    ? (['guard', `the verification of ${id} is manual: send it activate`] as const)
    : [explained.reason, explained.message]
  throw new PawlError('illegal_transition', `verify is not legal now: ${why}`, {
    ...{ resource_id: id, status, command: 'verify', reason, accepts: [], blockers: [] },
  })
}
