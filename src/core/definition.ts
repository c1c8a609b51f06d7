/** What is a resource to the engine, once types are erased? @module */

import type { Blocker, Issue } from '../errors.ts'
import type { Machine } from './machine.ts'

/** A schema of any library that follows Standard Schema (zod, valibot, arktype…); it has to validate synchronously. */
export interface Schema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    /** Checks a value. */
    readonly validate: (value: unknown) => Validation<Output> | Promise<Validation<Output>>
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}

/** What a schema says about a value. */
export type Validation<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] }

/** One defect that a schema found. */
export interface SchemaIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/** A JSON object. */
export type JsonObject = Readonly<Record<string, unknown>>

/** A command: what is to be done, and its payload. */
export type Command = JsonObject & { readonly type: string }

/** A resource as users see it. */
export type ResourceView = JsonObject & {
  readonly id: string
  readonly object: string
  readonly status: string
  readonly version: number
  readonly created_at: string
  readonly updated_at: string
}

/** What a field that holds the id of another resource may refer to. */
export interface Reference {
  /** The type of the other resource. */
  readonly type: string
  /** The statuses in which it can be referred to; by default all that are not final. */
  readonly status?: readonly string[]
  /** The commands of the other resource that are refused, reason `in_use`, while this resource lives. */
  readonly restricts?: readonly string[]
  /** Fields that are taken over from the other resource on create where the input leaves them out. */
  readonly copy?: (resource: ResourceView) => JsonObject
}

/** A resource that is created along with this one where the input leaves the field out. */
export interface Companion {
  /** The type of the companion. */
  readonly type: string
  /** The companion's input; nothing by default. */
  readonly input?: (input: JsonObject) => JsonObject
}

/** A value that is never shown: it leaves the payload before the machine, the log or an error can see it. */
export type Secret =
  | {
      /** Where the value stands in the input or in a payload, such as `auth_credentials.password`. */
      readonly path: string
      /** The commands that carry it, `create` included; by default all that have the path. */
      readonly on?: readonly string[]
      /** Whether it is kept, encrypted; a value that is not kept is gone after `check`. True by default. */
      readonly keep?: boolean
    }
  | {
      /** The engine makes the value: this prefix and 32 random bytes in base64. It is shown once, in the outcome. */
      readonly generate: string
      /** The commands that make a new one, `create` included. */
      readonly on: readonly string[]
      /**
       * How long the value before stays known to the engine after a new one was made, in milliseconds; it is never
       * shown again. By default it is gone at once.
       */
      readonly retire?: number
    }

/** What `check` looks at. */
export interface Checked {
  /** The command's name, or `create`. */
  readonly command: string
  /** Its payload or, for a create, the completed input; with the secrets. */
  readonly payload: JsonObject
  /** The resource as it was; null for a create. */
  readonly resource: ResourceView | null
  /** What the resource's references refer to; null where a field is empty. */
  readonly references: Readonly<Record<string, ResourceView | null>>
}

/** Says what stands in the way of a command: an issue makes it `invalid_input`, a blocker refuses it, reason `reference`. */
export type Check = (checked: Checked) => readonly (Blocker | Issue)[]

/** Where a resource is: XState's state value, which may leave out what is entered by itself, and the context. */
export interface Whereabouts {
  readonly value: unknown
  readonly context: object
}

/**
 * Takes a resource from one version of its machine to the next.
 *
 * It has to be pure, and gets copies. No action of the machine runs: what it gives is where the
 * resource is from then on. Its parameter may have the types that the earlier version had.
 */
export type Migration = {
  /** A method, whose parameter may be narrower than what is declared here. */
  from(earlier: { readonly value: unknown; readonly context: JsonObject }): Whereabouts
}['from']

/** Everything the engine knows about one kind of resource. */
export interface ResourceDefinition {
  /** The name, lower snake case: `task_run`. */
  readonly type: string
  /** What ids begin with: `trun`. */
  readonly prefix: string
  /** The schema of what `create` takes; its output is the machine's input. */
  readonly input: Schema
  /** The schema of each command's payload, by the command's name; `type` is not part of the payload. */
  readonly commands: Readonly<Record<string, Schema>>
  /** The life. The keys of its context are the resource's public fields. */
  readonly machine: Machine
  /** The fields that hold ids of other resources. */
  readonly references?: Readonly<Record<string, string | Reference>>
  /** The context fields that events show; all public ones by default. */
  readonly summary?: readonly string[]
  /** Context fields that only the machine sees. */
  readonly private?: readonly string[]
  /** The values that are never shown, by name. */
  readonly secrets?: Readonly<Record<string, Secret>>
  /** What stands in the way of a command beyond its shape and status, for all commands or by command. */
  readonly check?: Check | Readonly<Record<string, Check>>
  /** Commands that only other resources and the engine itself may send. */
  readonly internal?: readonly string[]
  /** What is created along with the resource, by the field that refers to it. */
  readonly companion?: Readonly<Record<string, Companion>>
  /** The public event types; by default those that the machine's `emit`s show. */
  readonly events?: readonly string[]
  /** Names the status; by default the key of the innermost active state. */
  status?(state: { readonly value: unknown; readonly context: JsonObject }): string
  /** The machine's version; 1 by default. */
  readonly version?: number
  /** By version: takes a resource from it to the next. Where none is given, resources stay as they are. */
  readonly migrate?: Readonly<Record<number, Migration>>
}
