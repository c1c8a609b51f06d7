/** How do the verbs become the methods of an engine? Factories that only bind. @module */

import type { Context } from './context.ts'
import type { Kind } from './core/kind.ts'
import type { Delivery } from './delivery/create.ts'
import { toDeliveries } from './delivery/handle.ts'
import { type Issue, refuseIssues } from './errors.ts'
import { taken, takenValue } from './given.ts'
import type {
  Definitions,
  Following,
  Handler,
  LogHandle,
  ResourceHandle,
  Resources,
  Scope,
  TimersHandle,
  Transaction,
} from './handles.ts'
import { getEvent, listEvents, type Reader } from './log/events.ts'
import { historyOf } from './log/history.ts'
import { paged } from './log/page.ts'
import { acceptsOf, findResource, getResource, listResources } from './log/resources.ts'
import { resourceAt } from './log/time-travel.ts'
import { listTimers } from './log/timers.ts'
import {
  createResource,
  explainCommand,
  revealSecrets,
  sendCommand,
  trySendCommand,
} from './runtime/commands.ts'
import { consume } from './runtime/consume.ts'
import type { EventHandler } from './runtime/consumer.ts'
import { listConsumers, listParked, removeConsumer, retryParked } from './runtime/consumers.ts'
import { joinTransaction } from './runtime/join.ts'
import { idIssues } from './runtime/options.ts'
import { subscribe } from './runtime/subscribe.ts'
import { inTransaction, type OpenTransaction, requireFunction } from './runtime/transaction.ts'

/** Binds everything that belongs to one tenant. */
export function toScope(
  context: Context,
  { deliverer, worker }: Delivery,
  reader: Reader,
): Scope<Definitions> {
  const resources = toResources(context, reader)
  const events: LogHandle<never> = resources.events as never
  const following: Following<Definitions> = {
    events: { ...events, subscribe: (options) => subscribe(context, reader, options) as never },
    transaction: async (work) => {
      requireFunction('the work of the transaction', work)
      return inTransaction(context, (transaction) => work(toTransaction(reader, transaction)))
    },
    within: (trx) => toTransaction(reader, joinTransaction(context, trx as never)) as never,
    consume: async (name, options, handler) =>
      consume(context, reader, name, taken(options), bound(reader, handler)),
    consumers: {
      list: () => listConsumers(context, reader),
      parked: (name) => listParked(context, reader, name),
      retry: (name, eventId) => retryParked(context, reader, name, eventId),
      remove: (name) => removeConsumer(context, reader, name),
    },
    deliveries: toDeliveries(deliverer, worker, reader) as never,
  }
  return { ...resources, ...following } as unknown as Scope<Definitions>
}

/** Binds what can be done with resources, within a transaction or not. */
function toResources(context: Context, reader: Reader): Resources<Definitions> {
  const properties = [...context.registry.byProperty]
  const handles = properties.map(([property, kind]) => [
    property,
    toResourceHandle(context, reader, kind),
  ])
  const events: LogHandle<never> = {
    list: (filter) => paged(filter, (taken) => listEvents(context, reader, taken)) as never,
    get: (id) => getEvent(context, reader, id) as never,
  }
  const timers: TimersHandle = {
    list: (filter) => paged(filter, (taken) => listTimers(context, reader, taken)),
  }
  const resources = { ...Object.fromEntries(handles), events, timers }
  return resources as unknown as Resources<Definitions>
}

/** Binds what can be done within a transaction. */
function toTransaction(
  reader: Reader,
  { context, db }: Pick<OpenTransaction, 'context' | 'db'>,
): Transaction<Definitions> {
  const inner = {
    ...toResources(context, reader),
    db,
    tenant: (id: string) => toResources(context, toTenant(reader, id)),
  }
  return inner as unknown as Transaction<Definitions>
}

/** A consumer's handler, with the engine of its transaction bound. */
function bound(reader: Reader, handler: Handler<Definitions>): EventHandler {
  // What is no function is refused where the other options are.
  if (typeof handler !== 'function') return handler
  return (event, { attempt, signal, ...inner }) => {
    const tx = toTransaction(reader, inner)
    return handler(event as never, { tx, attempt, signal })
  }
}

/** The reader of a tenant's own handle. Throws `invalid_input` for what is no tenant, or not for this handle. */
export function toTenant(from: Reader, id: string): Reader {
  refuseIssues('the tenant', from.root && id !== '*' ? idIssues('tenant', id) : [tenantIssue(id)])
  return { tenant: id, root: false }
}

function tenantIssue(id: string): Issue {
  const message =
    id === '*'
      ? '"*" stands for all tenants in lists of the root handle only'
      : 'can only be chosen on the root handle'
  return { path: ['tenant'], code: 'invalid_tenant', message }
}

/** Binds the verbs to a kind; their types come from its definition. */
function toResourceHandle(context: Context, reader: Reader, kind: Kind) {
  const { tenant } = reader
  return {
    create: (input, options) => createResource(context, tenant, kind, input, options),
    send: (id, command, options) => sendCommand(context, tenant, kind, id, command, options),
    trySend: (id, command, options) => trySendCommand(context, tenant, kind, id, command, options),
    get: (id) => getResource(context, tenant, kind, id),
    find: (id) => findResource(context, tenant, kind, id),
    list: (filter) => paged(filter, (taken) => listResources(context, reader, kind, taken)),
    accepts: (id) => acceptsOf(context, tenant, kind, id),
    explain: (id, command) => explainCommand(context, tenant, kind, id, command),
    history: (id, options) =>
      paged(options, (taken) => historyOf(context, tenant, kind, id, taken)),
    at: async (id, moment) => resourceAt(context, tenant, kind, id, takenValue(moment)),
    reveal: (id, options) => revealSecrets(context, tenant, kind, id, options),
  } as ResourceHandle<never, never>
}
