/** What do the types of an XState machine say about a resource? @module */

import type { AnyStateMachine, ContextFrom, EmittedFrom, SnapshotFrom } from 'xstate'

/** Any XState v5 machine. */
export type Machine = AnyStateMachine

/** The context of a machine. */
export type ContextOf<M extends Machine> = ContextFrom<M>

/** The types of what a machine emits. */
export type EmittedOf<M extends Machine> = EmittedFrom<M>['type']

/** The union of the keys of a machine's innermost states, as `statusOf` names them at run time. */
export type StatusOf<M extends Machine> = Extract<
  Innermost<SnapshotFrom<M>['value'], 'active'>,
  string
>

// A value with several keys at one level stands for parallel regions: their parent gives the name.
type Innermost<Value, Parent> = Value extends string
  ? Value
  : IsUnion<keyof Value> extends true
    ? Parent
    : { [Key in keyof Value]: Innermost<Value[Key], Key> }[keyof Value]

type IsUnion<T, Whole = T> = [T] extends [never]
  ? false
  : T extends Whole
    ? [Whole] extends [T]
      ? false
      : true
    : never
