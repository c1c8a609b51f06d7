/** How is an engine run, kept in order, and ended? @module */

import type { Context } from './context.ts'
import { describe } from './core/describe/describe.ts'
import type { Description } from './core/describe/description.ts'
import type { Delivery } from './delivery/create.ts'
import { closed, invalidInput, isPawlError, shown } from './errors.ts'
import { taken } from './given.ts'
import { type PruneOptions, type PruneReport, prune } from './log/prune.ts'
import { type Verification, type VerifyOptions, verify } from './log/verify.ts'
import { backUp } from './runtime/backup.ts'
import { type MigrateOptions, type MigrationReport, migrate } from './runtime/migrate.ts'
import { type Rotation, rotateKeys } from './runtime/rotate.ts'
import { stopAll } from './runtime/running.ts'
import { createTimerLoop, tick } from './runtime/timers.ts'

/** How an engine is run and ended. */
export interface Lifecycle {
  /** Fires timers and delivers events from now on, until `stop` or `close`; resolves when the overdue timers have fired. */
  start(): Promise<void>
  /** Stops that; resolves when what is under way has been settled, or has been given up after two seconds. */
  stop(): Promise<void>
  /** Fires the timers and makes the deliveries that are due now, for those who call it from a schedule of their own. */
  tick(): Promise<{ readonly fired: number }>
  /** Ends the engine: waits for what has been sent, then refuses everything with `closed`. */
  close(): Promise<void>
  /** The same as `close`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>
}

/** What keeps a database in order, for all tenants, while it is in use. */
export interface Upkeep {
  /**
   * Describes a type of resource: its states, commands, events and timers as data, and as the text of
   * a Mermaid `stateDiagram-v2`. Throws `invalid_input` for a type that is not registered.
   */
  describe(type: string): Promise<Description>
  /**
   * Checks the whole database, of all tenants, while it is in use: that the log is complete and
   * unaltered, that the machines say again what it says, and that it leads to everything else that is
   * stored. Reports every difference and changes nothing.
   */
  verify(options?: VerifyOptions): Promise<Verification>
  /**
   * Removes the events of all tenants that are older than this from the beginning of the log, slice by
   * slice, while the engine is in use. What a consumer, an event destination or an idempotency key still needs
   * stays, and so does everything after it. Deliveries go with their events.
   *
   * What was removed can no longer be listed, and `at` reaches back no further; resources stay as they are.
   * Throws `storage_corrupt` when it comes upon entries that have been altered.
   */
  prune(options: PruneOptions): Promise<PruneReport>
  /**
   * Takes all resources of all tenants to the versions of their machines, through the definitions'
   * `migrate`, while the engine is in use; tells how many, and which failed and why.
   *
   * A resource that a command or a timer reaches first is migrated then. It can be run again at any
   * time: what has been done is not done twice.
   */
  migrate(options?: MigrateOptions): Promise<MigrationReport>
  /**
   * Encrypts anew, while the engine is in use, every secret that was not encrypted with the first key.
   *
   * Throws `decryption_failed` for a secret that no key opens, after all others have been done.
   */
  rotateKeys(): Promise<Rotation>
  /**
   * Copies the database, while the engine is in use, to a file that does not exist yet; the file appears
   * when the copy is complete and on disk.
   */
  backup(path: string): Promise<void>
}

/** Binds what runs and ends an engine. */
export function toLifecycle(context: Context, { worker, close: disconnect }: Delivery): Lifecycle {
  const timers = createTimerLoop(context)
  let closing: Promise<void> | null = null
  const closeOnce = async (): Promise<void> => {
    await stopAll(context)
    await worker.stop()
    await timers.stop()
    await disconnect()
    await context.writer.close()
    await context.store.close()
  }
  const close = async (): Promise<void> => {
    if (closing === null) requireNoTransaction(context)
    closing ??= closeOnce()
    await closing
  }
  return {
    start: async () => {
      if (closing !== null) throw closed()
      // Both at once: what begins after the end would never be ended.
      worker.start()
      await timers.start()
    },
    stop: async () => {
      await Promise.all([timers.stop(), worker.stop()])
    },
    tick: async () => {
      const ticked = await tick(context)
      await worker.drain()
      return ticked
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

/** Throws `transaction_misuse` within a transaction, for whose end closing would wait. */
function requireNoTransaction({ store }: Context): void {
  try {
    store.requireAccess()
  } catch (error) {
    // An application that has closed its database before still has an engine to end.
    if (!isPawlError(error, 'closed')) throw error
  }
}

/** Binds what keeps a database in order. */
export function toUpkeep(context: Context, { worker }: Delivery): Upkeep {
  return {
    describe: async (type) => describeType(context, type),
    verify: async (options) => verify(context, taken(options)),
    prune: async (options) => {
      // What destinations go through has to be known before it may go.
      await worker.dispatch()
      return prune(context, taken(options))
    },
    migrate: async (options) => migrate(context, taken(options)),
    rotateKeys: () => rotateKeys(context),
    backup: (path) => backUp(context, path),
  }
}

function describeType({ registry, store }: Context, type: string): Description {
  store.requireAccess()
  const kind = registry.byType.get(type)
  if (kind !== undefined) return describe(kind)
  const types = [...registry.byType.keys()].join(', ')
  const message = `${shown(type)} is not registered (types: ${types})`
  throw invalidInput('the type', [{ path: [], code: 'unknown_type', message }])
}
