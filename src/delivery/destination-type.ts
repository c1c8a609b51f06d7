/** What kinds of receivers are there? Adapters: `defineDestinationType` @module */

import type { Clock } from '../clock.ts'
import type { JsonObject, Schema } from '../core/definition.ts'
import { machineInvalid, shown } from '../errors.ts'
import { readable } from '../given.ts'

/** An event as it is delivered, the same at every attempt. */
export interface Message {
  /** The id of the event, by which a receiver knows what it has had before. */
  readonly id: string
  /** The type of the event. */
  readonly type: string
  /** What is sent: the event as JSON text, as it was stored. */
  readonly body: string
  /** The resource that the event is about. */
  readonly resourceId: string
  readonly tenant: string
}

/** Where it goes. */
export interface Target<Config = JsonObject> {
  /** The id of the destination. */
  readonly id: string
  /** What stands in the destination under the name of the type, without its secrets. */
  readonly config: Config
  /** The secrets of the configuration, by the paths that the type names; what a destination does not have is left out. */
  readonly secrets: Readonly<Record<string, unknown>>
  /** The keys that sign: the current one, and those that have been replaced not long ago. */
  readonly keys: readonly Buffer[]
}

/** What an attempt may do. */
export interface Call {
  /** When the attempt began. */
  readonly at: ReturnType<Clock['now']>
  /** 1 for the first. */
  readonly attempt: number
  /** How long it may take in all, in milliseconds. */
  readonly timeout: number
  /** Aborted when the time is up, or nobody waits any more. */
  readonly signal: AbortSignal
  /**
   * The address of a host that may be connected to; connect to it and not to the name, which may lead elsewhere by
   * then. Throws for an address that is not allowed.
   */
  addressOf(host: string): Promise<string>
}

/** What the receiver made of it. */
export type Receipt = {
  /** The status of an HTTP answer, or what comes closest to it. */
  readonly statusCode?: number
  /** What the receiver said; the first 2 KB of it are kept. */
  readonly responseBody?: string
} & (
  | { readonly ok: true }
  | {
      readonly ok: false
      /** A stable name, then what happened: `timed_out: no answer within the timeout of 15000 ms`. */
      readonly error: string
      /** How long the receiver wants to be left alone, in milliseconds. */
      readonly retryAfter?: number
      /** Whether the receiver wants no events any more: the destination is deactivated. */
      readonly gone?: boolean
    }
)

/** A kind of receivers. */
export interface DestinationType<Config = JsonObject> {
  /** The name, lower snake case: the `type` of a destination, and the field that its configuration stands in. */
  readonly type: string
  /** What a configuration has to be: a schema of any library that follows Standard Schema, synchronous. */
  readonly config: Schema
  /** Paths within the configuration, such as `password`, whose values are kept encrypted and never shown. */
  readonly secrets?: readonly string[]
  /** Sends an event; resolves when the receiver has it for good, or has not. What it throws is a failure. */
  deliver(message: Message, target: Target<Config>, call: Call): Promise<Receipt>
  /** Proves that events are wanted there. By default, nothing has to be proven. */
  verify?(target: Target<Config>, call: Call): Promise<Receipt>
  /** Ends all connections; called when the engine closes. */
  close?(): Promise<void>
}

/**
 * Describes a kind of receivers, to be given to `createEngine` under `destinationTypes`.
 *
 * Throws `machine_invalid` for a name that cannot be one, or without `config` and `deliver`.
 *
 * @example
 * const log = defineDestinationType({
 *   type: 'log',
 *   config: z.strictObject({ prefix: z.string() }),
 *   deliver: async ({ body }, { config }) => {
 *     console.log(config.prefix, body)
 *     return { ok: true }
 *   },
 * })
 */
export function defineDestinationType<Config = JsonObject>(
  definition: DestinationType<Config>,
): DestinationType<Config> {
  takenType(definition)
  return definition
}

/** Copies a type, so that nobody's getter or proxy has a say later. Throws `machine_invalid` for what is none. */
export function takenType<Config>(definition: DestinationType<Config>): DestinationType<Config> {
  const { secrets = [], ...taken } = readable(() => partsOf(definition ?? {}))
  const { type, config, deliver, verify, close } = taken
  if (typeof type !== 'string' || !/^[a-z][a-z0-9_]*$/.test(type) || RESERVED.has(type))
    refuse(type, 'it has to be a name in lower snake case, and no other field of a destination')
  if (!areTexts(secrets)) refuse(type, 'its secrets have to be a list of paths')
  if (typeof deliver !== 'function' || config?.['~standard'] === undefined)
    refuse(type, 'it needs a schema `config` and a function `deliver`')
  return {
    ...{ type, config, secrets },
    // They may be methods of a class.
    deliver: deliver.bind(definition),
    ...(typeof verify === 'function' && { verify: verify.bind(definition) }),
    ...(typeof close === 'function' && { close: close.bind(definition) }),
  }
}

function partsOf<Config>(definition: Partial<DestinationType<Config>>) {
  const { type, config, secrets, deliver, verify, close } = definition
  return { type, config, secrets, deliver, verify, close }
}

function areTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((path) => typeof path === 'string' && path !== '')
}

function refuse(type: unknown, reason: string): never {
  const name = typeof type === 'string' ? type : shown(type)
  throw machineInvalid(name, `as a type of destinations, ${reason}`)
}

/** The other fields of a destination. */
const RESERVED: ReadonlySet<string> = new Set([
  ...['id', 'object', 'status', 'version', 'created_at', 'updated_at', 'name', 'type', 'events'],
  ...['secret', 'verification', 'deactivation', 'delivery', 'resume_from'],
])
