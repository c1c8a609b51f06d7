/** How does an event destination live? @module */

import { assign, emit, setup } from 'xstate'
import { z } from 'zod'
import { type CommandsOf, defineResource, now } from '../src/resource.ts'
import { strictObject } from '../src/strict-object.ts'
import {
  changesTarget,
  type Destination,
  fitsType,
  input,
  update,
} from './event-destination-data.ts'
import { nothing } from './schemas.ts'

const DAY = 86_400_000

const commands = {
  activate: nothing.describe('Reports that the destination is verified.'),
  deactivate: strictObject({
    reason: z.enum(['user', 'failures']).default('user'),
    message: z.string().nullable().default(null),
  }).describe('Stops deliveries.'),
  reactivate: strictObject({
    from: z
      .union(
        [z.enum(['resume', 'now']), z.iso.datetime({ offset: true })],
        'must be "resume", "now" or an ISO 8601 time',
      )
      .default('resume'),
  }).describe(
    'Has the destination verified again, to deliver from where it stopped, now or a time.',
  ),
  update,
  rotate_secret: nothing.describe('Makes a new signing secret.'),
  delete: nothing.describe('Deletes the destination for good.'),
  fail_verification: strictObject({ error: z.string().min(1).max(2000) }).describe(
    'Reports that the destination could not be verified.',
  ),
}

type Command = CommandsOf<typeof commands>

type Context = Destination & {
  verification: {
    readonly status: 'pending' | 'passed' | 'failed'
    readonly error: string | null
    readonly checked_at: string | null
  }
  deactivation: { readonly reason: 'user' | 'failures'; readonly message: string | null } | null
  resume_from: string | null
}

interface On<Name extends Command['type']> {
  readonly context: Context
  readonly event: Extract<Command, { readonly type: Name }>
}

const UNVERIFIED = { status: 'pending', error: null, checked_at: null } as const

const machine = setup({
  types: {
    context: {} as Context,
    input: {} as Destination,
    events: {} as Command,
    emitted: {} as { type: `event_destination.${'activated' | 'deactivated'}` },
  },
}).createMachine({
  // What is left is the configuration, under the name of its type.
  context: ({ input: { name, type, events, delivery, ...configuration } }) => ({
    name,
    type,
    ...configuration,
    events,
    verification: UNVERIFIED,
    deactivation: null,
    delivery,
    resume_from: null,
  }),
  initial: 'pending_verification',
  states: {
    pending_verification: {
      description: 'Nothing is delivered before the destination has proven itself.',
      on: {
        activate: { target: 'active', actions: assign(verified) },
        deactivate: { target: 'inactive', actions: assign(deactivated) },
        update: { guard: fitsItsType, actions: assign(updated) },
        rotate_secret: {},
        delete: 'deleted',
        fail_verification: { actions: assign(failed) },
      },
    },
    active: {
      description: 'Events are delivered.',
      entry: emit({ type: 'event_destination.activated' }),
      on: {
        activate: {},
        deactivate: { target: 'inactive', actions: assign(deactivated) },
        update: [
          { guard: leadsElsewhere, target: 'pending_verification', actions: assign(updated) },
          { guard: fitsItsType, actions: assign(updated) },
        ],
        rotate_secret: {},
        delete: 'deleted',
      },
    },
    inactive: {
      description: 'Nothing is delivered; open deliveries wait.',
      entry: emit({ type: 'event_destination.deactivated' }),
      on: {
        deactivate: {},
        reactivate: { target: 'pending_verification', actions: assign(reactivated) },
        update: { guard: fitsItsType, actions: assign(updated) },
        rotate_secret: {},
        delete: 'deleted',
      },
    },
    deleted: { type: 'final', description: 'The destination is gone.' },
  },
})

function verified({ self }: { readonly self: object }) {
  const checked_at = now(self).toISOString()
  return {
    verification: { status: 'passed' as const, error: null, checked_at },
    deactivation: null,
  }
}

function failed({ event: { error }, self }: On<'fail_verification'> & { readonly self: object }) {
  return { verification: { status: 'failed' as const, error, checked_at: now(self).toISOString() } }
}

function deactivated({ event: { reason, message } }: On<'deactivate'>) {
  return { deactivation: { reason, message } }
}

function reactivated({ event: { from } }: On<'reactivate'>) {
  return { verification: UNVERIFIED, deactivation: null, resume_from: from }
}

function updated({ context, event }: On<'update'>) {
  const { type, ...changes } = event
  const verification = changesTarget(context, event) ? UNVERIFIED : context.verification
  return { ...changes, verification }
}

function fitsItsType({ context, event }: On<'update'>) {
  return fitsType(context, event)
}

function leadsElsewhere({ context, event }: On<'update'>) {
  return fitsType(context, event) && changesTarget(context, event)
}

/** Where events are delivered. */
export const eventDestination = defineResource({
  type: 'event_destination',
  prefix: 'evtd',
  input,
  commands,
  machine,
  summary: ['name', 'type', 'events', 'deactivation'],
  private: ['resume_from'],
  internal: ['fail_verification'],
  secrets: { secret: { generate: 'whsec_', on: ['create', 'rotate_secret'], retire: DAY } },
})
