/** The public names of pawl. @module */

export type {
  Check,
  Checked,
  Companion,
  Migration,
  Reference,
  Schema,
  Secret,
} from './core/definition.ts'
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
  ConsumersHandle,
  Definitions,
  Engine,
  EventsHandle,
  EventsOf,
  Following,
  Handled,
  Handler,
  Lifecycle,
  LogHandle,
  ResourceHandle,
  Resources,
  Scope,
  TimersHandle,
  Transaction,
} from './handles.ts'
// Read back
export type { Cause, Event, EventOf } from './log/event.ts'
export type { EventFilter, EventPattern, EventSelection } from './log/events.ts'
export type { Moment } from './log/filters.ts'
export type { HistoryEntry } from './log/history.ts'
// Check
export type { DifferenceKind, VerificationDifference, VerifyProgress } from './log/inspection.ts'
export type { Page, PageOptions, PagePromise } from './log/page.ts'
export type { From } from './log/place.ts'
export type { PruneOptions, PruneReport } from './log/prune.ts'
export type { ResourceFilter } from './log/resources.ts'
export type { Timer, TimerFilter } from './log/timers.ts'
export type { Verification, VerifyOptions } from './log/verify.ts'
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
// Follow and consume
export type { ConsumeOptions } from './runtime/consumer.ts'
export type { Consumer, ParkedEvent } from './runtime/consumers.ts'
// Keep secrets
export { generateKey } from './runtime/keys.ts'
// Change machines
export type {
  MigrateOptions,
  MigrationFailure,
  MigrationReport,
  MigrationStep,
} from './runtime/migrate.ts'
export type { Actor, CreateOptions, RevealOptions, SendOptions } from './runtime/options.ts'
export type { Outcome } from './runtime/outcomes.ts'
export type { Rotation } from './runtime/rotate.ts'
export type { Subscription } from './runtime/subscribe.ts'
export type { AnyTables } from './store/store.ts'
