/** The public names of pawl. @module */

// Open an engine

export type { Duration } from './duration.ts'
export { createEngine, type EngineOptions } from './engine.ts'
export type {
  Definitions,
  DestinationsOf,
  Engine,
  EventsOf,
  Following,
  LogHandle,
  ResourceHandle,
  Resources,
  Scope,
  TimersHandle,
} from './handles.ts'
export type { Lifecycle, Upkeep } from './lifecycle.ts'
export { generateKey } from './runtime/keys.ts'

// Describe resources

export type {
  Check,
  Checked,
  Companion,
  Migration,
  Reference,
  Schema,
  Secret,
} from './core/definition.ts'
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
export type { Actor, CreateOptions, RevealOptions, SendOptions } from './runtime/options.ts'
export type { Outcome } from './runtime/outcomes.ts'

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
  type WebhookDefect,
} from './errors.ts'

// Read back

export type { Cause, Event, EventOf } from './log/event.ts'
export type { EventFilter, EventPattern, EventSelection } from './log/events.ts'
export type { Moment } from './log/filters.ts'
export type { HistoryEntry } from './log/history.ts'
export type { Page, PageOptions, PagePromise } from './log/page.ts'
export type { ResourceFilter } from './log/resources.ts'
export type { Timer, TimerFilter } from './log/timers.ts'

// Follow, consume, share a transaction

export type { ConsumersHandle, EventsHandle, Handled, Handler, Transaction } from './handles.ts'
export type { From } from './log/place.ts'
export type { ConsumeOptions } from './runtime/consumer.ts'
export type { Consumer, ParkedEvent } from './runtime/consumers.ts'
export type { Subscription } from './runtime/subscribe.ts'
export type { AnyTables, AnyTransaction } from './store/store.ts'

// Deliver

export type { DeliveryFilter } from './delivery/deliveries.ts'
export type { Delivery, DeliveryAttempt, DeliveryWithAttempts } from './delivery/delivery.ts'
export {
  type Call,
  type DestinationType,
  defineDestinationType,
  type Message,
  type Receipt,
  type Target,
} from './delivery/destination-type.ts'
export type {
  DeliveryExplanation,
  DeliveryQuestion,
  UndeliveredReason,
} from './delivery/explain.ts'
export type { DeliveriesHandle } from './delivery/handle.ts'
export type { Replay, ReplayOptions } from './delivery/resend.ts'
export type { DeliveryOptions, VerificationMethod } from './delivery/settings.ts'
export type { DeliveryStatus } from './store/deliveries.ts'

// Prove, describe, keep house

export type {
  DescribedCommand,
  DescribedEvent,
  DescribedStart,
  DescribedState,
  DescribedTell,
  DescribedTimer,
  DescribedTransition,
  Description,
  EventSource,
} from './core/describe/description.ts'
export type { DifferenceKind, VerificationDifference, VerifyProgress } from './log/inspection.ts'
export type { PruneOptions, PruneReport } from './log/prune.ts'
export type { Verification, VerifyOptions } from './log/verify.ts'
export type {
  MigrateOptions,
  MigrationFailure,
  MigrationReport,
  MigrationStep,
} from './runtime/migrate.ts'
export type { Rotation } from './runtime/rotate.ts'
