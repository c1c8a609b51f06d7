/** How does an event destination live? @module */

import { assign, emit, setup } from 'xstate'
import { z } from 'zod'
import { type CommandsOf, defineResource, now } from '../src/resource.ts'
import { httpUrl, name, nothing, stringMap } from './schemas.ts'

const HEADER_NAME = /^[\w!#$%&'*+.^`|~-]+$/
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/
const EVENT_PATTERN = /^(?:\*|[a-z][a-z0-9_]*\.(?:\*|[a-z][a-z0-9_]*))$/

const webhook = z.strictObject({
  url: httpUrl.refine(hasNoPassword, 'must not hold a user name or a password'),
  custom_headers: stringMap.refine(areHeaders, 'must be HTTP headers').exactOptional(),
})

const events = z
  .array(z.string().regex(EVENT_PATTERN, 'must be an event type, "object.*" or "*"'))
  .min(1)
  .refine((types) => types.length === 1 || !types.includes('*'), '"*" cannot be combined')

const duration = z.union(
  [z.number().nonnegative(), z.string().regex(/^\d+(?:\.\d+)?(?:ms|s|m|h|d)$/)],
  'must be a duration such as "30s", or milliseconds',
)

const delivery = z
  .strictObject({
    order: z.enum(['resource', 'none']),
    retries: z.array(duration),
    timeout: duration,
    concurrency: z.int().positive(),
    verification: z.enum(['challenge', 'handshake', 'ping', 'manual']),
  })
  .exactPartial()
  .nullable()

const input = z
  .strictObject({
    name,
    type: z.literal('webhook').default('webhook'),
    webhook,
    events,
    delivery: delivery.default(null),
  })
  .describe('Creates a destination that has to be verified.')

const commands = {
  activate: nothing.describe('Reports that the destination is verified.'),
  deactivate: z
    .strictObject({
      reason: z.enum(['user', 'failures']).default('user'),
      message: z.string().nullable().default(null),
    })
    .describe('Stops deliveries.'),
  reactivate: z
    .strictObject({
      from: z
        .union(
          [z.enum(['resume', 'now']), z.iso.datetime({ offset: true })],
          'must be "resume", "now" or an ISO 8601 time',
        )
        .default('resume'),
    })
    .describe(
      'Has the destination verified again, to deliver from where it stopped, now or a time.',
    ),
  update: z
    .strictObject({ name, events, webhook, delivery })
    .exactPartial()
    .describe('Changes the fields that are given; another URL has to be verified.'),
  rotate_secret: nothing.describe('Makes a new signing secret.'),
  delete: nothing.describe('Deletes the destination for good.'),
}

type Command = CommandsOf<typeof commands>

type Context = z.infer<typeof input> & {
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
    input: {} as z.infer<typeof input>,
    events: {} as Command,
    emitted: {} as { type: `event_destination.${'activated' | 'deactivated'}` },
  },
}).createMachine({
  context: ({ input: { name, type, webhook, events, delivery } }) => ({
    name,
    type,
    webhook,
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
        update: { actions: assign(updated) },
        rotate_secret: {},
        delete: 'deleted',
      },
    },
    active: {
      description: 'Events are delivered.',
      entry: emit({ type: 'event_destination.activated' }),
      on: {
        activate: {},
        deactivate: { target: 'inactive', actions: assign(deactivated) },
        update: [
          { guard: changesUrl, target: 'pending_verification', actions: assign(updated) },
          { actions: assign(updated) },
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
        update: { actions: assign(updated) },
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

function deactivated({ event: { reason, message } }: On<'deactivate'>) {
  return { deactivation: { reason, message } }
}

function reactivated({ event: { from } }: On<'reactivate'>) {
  return { verification: UNVERIFIED, deactivation: null, resume_from: from }
}

function updated({ context, event }: On<'update'>) {
  const { type, ...changes } = event
  const verification = changesUrl({ context, event }) ? UNVERIFIED : context.verification
  return { ...changes, verification }
}

function changesUrl({ context, event }: On<'update'>) {
  return event.webhook !== undefined && event.webhook.url !== context.webhook.url
}

function hasNoPassword(url: string) {
  const { username, password } = new URL(url)
  return username === '' && password === ''
}

function areHeaders(headers: Readonly<Record<string, string>>) {
  return Object.entries(headers).every(
    ([header, value]) => HEADER_NAME.test(header) && HEADER_VALUE.test(value),
  )
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
  secrets: { secret: { generate: 'whsec_', on: ['create', 'rotate_secret'] } },
})
