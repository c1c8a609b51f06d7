/** How do the verbs become the methods of an engine? Factories that only bind. @module */

import type { Context } from './context.ts'
import type { Kind } from './core/kind.ts'
import { closed } from './errors.ts'
import type {
  Definitions,
  EventsHandle,
  Lifecycle,
  ResourceHandle,
  Scope,
  TimersHandle,
} from './handles.ts'
import { getEvent, listEvents, type Reader } from './log/events.ts'
import { historyOf } from './log/history.ts'
import { acceptsOf, findResource, getResource, listResources } from './log/resources.ts'
import { listTimers } from './log/timers.ts'
import { createResource, explainCommand, sendCommand, trySendCommand } from './runtime/commands.ts'
import { createTimerLoop, tick } from './runtime/timers.ts'

/** Binds everything that belongs to one tenant. */
export function toScope(context: Context, reader: Reader): Scope<Definitions> {
  const properties = [...context.registry.byProperty]
  const handles = properties.map(([property, kind]) => [
    property,
    toResourceHandle(context, reader, kind),
  ])
  const events: EventsHandle<never> = {
    list: (filter) => listEvents(context, reader, filter) as never,
    get: (id) => getEvent(context, reader, id) as never,
  }
  const timers: TimersHandle = { list: (filter) => listTimers(context, reader, filter) }
  const scope: Readonly<Record<string, unknown>> = {
    ...Object.fromEntries(handles),
    events,
    timers,
  }
  return scope as Scope<Definitions>
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
    list: (filter) => listResources(context, reader, kind, filter),
    accepts: (id) => acceptsOf(context, tenant, kind, id),
    explain: (id, command) => explainCommand(context, tenant, kind, id, command),
    history: (id, options) => historyOf(context, tenant, kind, id, options),
  } as ResourceHandle<never, never>
}

/** Binds what runs and ends an engine. */
export function toLifecycle(context: Context): Lifecycle {
  const timers = createTimerLoop(context)
  let isClosed = false
  const close = async (): Promise<void> => {
    isClosed = true
    await timers.stop()
    await context.writer.close()
    await context.store.close()
  }
  return {
    start: async () => {
      if (isClosed) throw closed()
      await timers.start()
    },
    stop: () => timers.stop(),
    tick: () => tick(context),
    close,
    [Symbol.asyncDispose]: close,
  }
}
