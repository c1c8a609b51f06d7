/** The public names of pawl. @module */

export type { Check, Checked, Companion, Reference, Schema, Secret } from './core/definition.ts'
export type { Duration } from './duration.ts'
// Open an engine
export { createEngine, type EngineOptions } from './engine.ts'
// Tell errors apart
export {
  type Blocker,
  type ErrorCode,
  type ErrorDetails,
  type Issue,
  isPawlError,
  PawlError,
  type PawlErrorOf,
  type RefusalReason,
} from './errors.ts'
export type {
  Definitions,
  Engine,
  EventsHandle,
  EventsOf,
  Lifecycle,
  ResourceHandle,
  Scope,
  TimersHandle,
} from './handles.ts'
// Read back
export type { Cause, Event, EventOf } from './log/event.ts'
export type { EventFilter } from './log/events.ts'
export type { HistoryEntry } from './log/history.ts'
export type { Page, PageOptions, PagePromise } from './log/page.ts'
export type { ResourceFilter } from './log/resources.ts'
export type { Timer, TimerFilter } from './log/timers.ts'
// Describe resources
export {
  type CommandsOf,
  type DefinedResource,
  defineResource,
  now,
  type Resource,
  type ResourceTypes,
  tell,
} from './resource.ts'
// Create and send
export type { Attempt, Explanation } from './runtime/commands.ts'
export type { Actor, CreateOptions, SendOptions } from './runtime/options.ts'
export type { Outcome } from './runtime/outcomes.ts'
