/** How is a resource described, and what do its types say? @module */

import type { ActionFunction, EventObject, MachineContext } from 'xstate'
import type {
  Check,
  Command,
  Companion,
  Migration,
  Reference,
  ResourceDefinition,
  Schema,
  Secret,
} from './core/definition.ts'
import type { ContextOf, EmittedOf, Machine, StatusOf } from './core/machine.ts'
import { TELL, type TellArgs, type TellTarget } from './core/tell.ts'

/** What a schema accepts. */
export type InputOf<S extends Schema> = NonNullable<S['~standard']['types']>['input']

/** What a schema gives. */
export type OutputOf<S extends Schema> = NonNullable<S['~standard']['types']>['output']

// zod infers `Record<string, never>` for an empty object, which would forbid `type` as well.
type Payload<T> = [T] extends [Record<string, never>] ? unknown : T

/** The commands of a record of payload schemas, as a machine receives them: the `events` of XState's `setup`. */
export type CommandsOf<Commands extends Record<string, Schema>> = {
  [Name in keyof Commands & string]: { readonly type: Name } & Payload<OutputOf<Commands[Name]>>
}[keyof Commands & string]

/** The types that a definition carries for the engine's handles. */
export interface ResourceTypes {
  readonly type: string
  readonly input: unknown
  readonly command: { readonly type: string }
  readonly status: string
  readonly fields: object
  readonly event: string
  readonly summary: string
  readonly reference: string
}

declare const types: unique symbol

/** A resource definition with its types. */
export interface DefinedResource<T extends ResourceTypes = ResourceTypes>
  extends ResourceDefinition {
  /** Exists for the type checker only. */
  readonly [types]?: T
}

/** The types of a definition. */
export type TypesOf<D> = D extends DefinedResource<infer T> ? T : never

/** A resource as it is read. */
export type Resource<D extends DefinedResource = DefinedResource> = ResourceOf<TypesOf<D>>

/** A resource as it is read, from the types of its definition. */
export type ResourceOf<T extends ResourceTypes> = Common<T> & Readonly<T['fields']>

interface Common<T extends ResourceTypes> {
  readonly id: string
  /** The type of the resource. */
  readonly object: T['type']
  readonly status: T['status']
  /** How many changes the resource has had; 1 after create. */
  readonly version: number
  /** ISO 8601, UTC. */
  readonly created_at: string
  /** ISO 8601, UTC. */
  readonly updated_at: string
}

/** What events of a resource show of it: the resource at the time of the event. */
export type SummaryOf<T extends ResourceTypes> = Omit<Common<T>, 'version'> &
  Readonly<Pick<T['fields'], T['summary'] & keyof T['fields']>>

type PublicKey<M extends Machine, Private extends string> = Exclude<
  keyof ContextOf<M> & string,
  Private
>

/**
 * Describes a resource: an XState machine for its life, schemas for what comes in, and what it refers to.
 *
 * The types of commands, fields, statuses and events follow from it. Nothing is checked until
 * `createEngine` registers it.
 *
 * @example
 * const approval = defineResource({
 *   type: 'approval',
 *   prefix: 'appr',
 *   input: z.object({ title: z.string() }),
 *   commands: { approve: z.object({ by: z.string() }), reject: z.object({}) },
 *   machine: approvalMachine,
 * })
 */
export function defineResource<
  const Type extends string,
  M extends Machine,
  Input extends Schema,
  Commands extends Record<string, Schema>,
  const References extends Readonly<Record<string, string | Reference>> = Readonly<
    Record<never, string>
  >,
  const Event extends string = EmittedOf<M>,
  const Private extends string = never,
  const Summary extends PublicKey<M, Private> = PublicKey<M, Private>,
  const Internal extends keyof Commands & string = never,
  Status extends string = StatusOf<M>,
>(definition: {
  readonly type: Type
  readonly prefix: string
  readonly input: Input
  readonly commands: Commands
  readonly machine: M
  readonly references?: References & Readonly<Record<string, string | Reference>>
  readonly summary?: readonly Summary[]
  readonly private?: readonly Private[]
  readonly secrets?: Readonly<Record<string, Secret>>
  readonly check?: Check | Readonly<Record<string, Check>>
  readonly internal?: readonly Internal[]
  readonly companion?: Readonly<Record<string, Companion>>
  readonly events?: readonly Event[]
  readonly status?: (state: { readonly value: unknown; readonly context: ContextOf<M> }) => Status
  readonly version?: number
  readonly migrate?: Readonly<Record<number, Migration>>
}): DefinedResource<{
  type: Type
  input: InputOf<Input>
  command: Sendable<Commands, Internal>
  status: Status
  fields: Omit<ContextOf<M>, Private>
  event: Event
  summary: Summary
  reference: keyof References & string
}> {
  return definition as ResourceDefinition
}

type Sendable<Commands extends Record<string, Schema>, Internal extends string> = {
  [Name in Exclude<keyof Commands & string, Internal>]: { readonly type: Name } & Payload<
    InputOf<Commands[Name]>
  >
}[Exclude<keyof Commands & string, Internal>]

/**
 * An action that sends a command to other resources, in the same transaction.
 *
 * `to` is the name of a reference field of this resource, or `{ type, by }` for every live resource
 * of that type whose reference field `by` names this one, in order of creation. The command is
 * applied after this resource's own events are written. A `required` command that is refused
 * refuses the whole; any other is dropped where it is not accepted.
 *
 * @example
 * entry: tell('session_id', ({ self }) => ({ type: 'run_settled', run_id: self.id }))
 */
export function tell<
  Context extends MachineContext,
  ExpressionEvent extends EventObject,
  AnyEvent extends EventObject,
>(
  to: TellTarget,
  command: Command | ((args: TellArgs<Context, ExpressionEvent>) => Command),
  options: { readonly required?: boolean } = {},
): ActionFunction<
  Context,
  ExpressionEvent,
  AnyEvent,
  undefined,
  never,
  never,
  never,
  never,
  never
> {
  const action = () => {}
  return Object.assign(action, {
    [TELL]: { to, command: command as Command, required: options.required ?? false },
  })
}

/**
 * The time at which a command, a timer or a create takes effect, for actions and context functions
 * of a machine: `assign({ approved_at: ({ self }) => now(self).toISOString() })`.
 */
export function now(self: object): Date {
  const clock = (self as { readonly clock?: { now?(): number } }).clock
  return new Date(clock?.now?.() ?? Date.now())
}
