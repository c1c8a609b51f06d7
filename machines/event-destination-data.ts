/** What does an event destination hold, and what do its create and its update take? @module */

import { z } from 'zod'
import type { JsonObject, Schema, Validation } from '../src/core/definition.ts'
import { DURATION_FORM, type Duration, toMilliseconds } from '../src/duration.ts'
import { strictObject } from '../src/strict-object.ts'
import { httpUrl, jsonObject, name, stringMap } from './schemas.ts'

const HEADER_NAME = /^[\w!#$%&'*+.^`|~-]+$/
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/
const SENT_HEADER =
  /^(?:content-(?:length|type)|transfer-encoding|connection|keep-alive|upgrade|expect|te|trailer|host|webhook-.*)$/i
const EVENT_PATTERN = /^(?:\*|[a-z][a-z0-9_]*\.(?:\*|[a-z][a-z0-9_]*))$/
const TYPE_NAME = /^[a-z][a-z0-9_]*$/

// So few digits that they never come to infinity.
const DURATION = /^\d{1,15}(?:\.\d{1,15})?(?:ms|s|m|h|d)$/

const LONGEST_TIMEOUT = 300_000

// A hundred years: later times could not be written down.
const LONGEST_WAIT = 36_500 * 86_400_000

/** A configuration stands under the name of its type, which can be none of these. */
const OTHER_FIELDS: ReadonlySet<string> = new Set([
  ...['id', 'object', 'status', 'version', 'created_at', 'updated_at', 'name', 'type', 'events'],
  ...['secret', 'delivery', 'verification', 'deactivation', 'resume_from'],
])

const webhook = strictObject({
  url: httpUrl.refine(hasNoPassword, 'must not hold a user name or a password'),
  custom_headers: stringMap
    .refine(areHeaders, 'must be HTTP headers')
    .superRefine(refuseSentHeaders)
    .exactOptional(),
})

const events = z
  .array(z.string().regex(EVENT_PATTERN, 'must be an event type, "object.*" or "*"'))
  .min(1)
  .refine((types) => types.length === 1 || !types.includes('*'), '"*" cannot be combined')

const NO_DURATION = `must be a duration: ${DURATION_FORM}`

const duration = z.union(
  [z.number().nonnegative(NO_DURATION), z.string().regex(DURATION, NO_DURATION)],
  NO_DURATION,
)

const delivery = strictObject({
  order: z.enum(['resource', 'none']),
  retries: z
    .array(
      duration.refine(canBeWait, {
        error: 'must be at most 100 years',
        when: ({ issues }) => issues.length === 0,
      }),
    )
    .max(100),
  timeout: duration.refine(canBeTimeout, {
    error: 'must be at least 1 ms and at most 5 minutes',
    when: ({ issues }) => issues.length === 0,
  }),
  concurrency: z.int().min(1).max(1000),
  verification: z.enum(['challenge', 'handshake', 'ping', 'manual']),
})
  .exactPartial()
  .nullable()

const webhookInput = strictObject({
  name,
  type: z.literal('webhook', 'must be "webhook" or the name of another type').default('webhook'),
  webhook,
  events,
  delivery: delivery.default(null),
})

const webhookUpdate = strictObject({ name, events, webhook, delivery }).exactPartial()

/** The fields that a destination is created with; one of another type has its own in place of `webhook`. */
export type Destination = Omit<z.output<typeof webhookInput>, 'type'> & { readonly type: string }

/** The fields that an update gives. */
export type Update = z.output<typeof webhookUpdate>

type Input =
  | z.input<typeof webhookInput>
  | {
      readonly name: string
      readonly type: string
      readonly events: readonly string[]
      readonly delivery?: z.input<typeof delivery> | undefined
      readonly webhook?: never
      readonly [configuration: string]: unknown
    }

type UpdateInput = z.input<typeof webhookUpdate> | Readonly<Record<string, JsonObject>>

/** What `create` takes: a webhook, or another type and a configuration under its name. */
export const input: Schema<Input, Destination> = describedLike(
  webhookInput,
  'Creates a destination that has to be verified.',
  (given) => resultOf(inputFor(given).safeParse(given)),
)

/** What `update` takes; whether a configuration is one of the destination's type is for the machine to say. */
export const update: Schema<UpdateInput, Update> = describedLike(
  webhookUpdate,
  'Changes the fields that are given; another URL, or for other types another configuration, has to be verified.',
  checkUpdate,
)

/** Whether an update configures nothing but what the destination is. */
export function fitsType({ type }: Destination, given: JsonObject): boolean {
  return Object.keys(given).every((key) => key === type || OTHER_FIELDS.has(key))
}

/** Whether an update has a destination deliver somewhere else. */
export function changesTarget(destination: Destination, given: Update): boolean {
  const { type, webhook } = destination
  if (type === 'webhook') return given.webhook !== undefined && given.webhook.url !== webhook.url
  if (!Object.hasOwn(given, type)) return false
  const [before, after] = [destination, given].map((fields: JsonObject) => canonical(fields[type]))
  return before !== after
}

/** A schema that checks by itself; to whoever describes it, it is like one of zod. */
function describedLike<Input, Output>(
  schema: z.ZodType,
  description: string,
  validate: (given: unknown) => Validation<Output>,
): Schema<Input, Output> {
  return Object.create(schema, {
    description: { value: description, enumerable: true },
    '~standard': { value: { version: 1, vendor: 'pawl', validate }, enumerable: true },
  })
}

function resultOf<T>({ error, data }: z.ZodSafeParseResult<T>): Validation<T> {
  return error === undefined ? { value: data } : { issues: error.issues }
}

function inputFor(given: unknown): z.ZodType<Destination> {
  const type = isObject(given) ? given.type : undefined
  if (typeof type !== 'string' || type === 'webhook' || !isTypeName(type)) return webhookInput
  const shape = {
    name,
    type: z.literal(type),
    [type]: jsonObject,
    events,
    delivery: delivery.default(null),
  }
  return strictObject(shape) as z.ZodType<object> as z.ZodType<Destination>
}

function checkUpdate(given: unknown): Validation<Update> {
  if (!isObject(given)) return resultOf(webhookUpdate.safeParse(given))
  const fields = Object.entries(given)
  const others = Object.fromEntries(fields.filter(configuresOther))
  const rest = Object.fromEntries(fields.filter((field) => !configuresOther(field)))
  const { error, data } = webhookUpdate.safeParse(rest)
  return error === undefined ? { value: { ...data, ...others } } : { issues: error.issues }
}

/** Whether a field can be the configuration of another type than webhooks; what else is unknown is a mistake. */
function configuresOther([key, value]: readonly [string, unknown]): boolean {
  return key !== 'webhook' && isTypeName(key) && isObject(value)
}

function isTypeName(text: string): boolean {
  return TYPE_NAME.test(text) && !OTHER_FIELDS.has(text)
}

/** Texts of equal values are equal, whatever the order of their keys. */
function canonical(value: unknown): string | undefined {
  return JSON.stringify(value, (_, item: unknown) => (isObject(item) ? sorted(item) : item))
}

function sorted(object: JsonObject): JsonObject {
  const keys = Object.keys(object).sort()
  return Object.fromEntries(keys.map((key) => [key, object[key]]))
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function canBeWait(wait: unknown): boolean {
  return toMilliseconds(wait as Duration) <= LONGEST_WAIT
}

function canBeTimeout(given: string | number): boolean {
  const milliseconds = toMilliseconds(given as Duration)
  return milliseconds >= 1 && milliseconds <= LONGEST_TIMEOUT
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

function refuseSentHeaders(headers: Readonly<Record<string, string>>, context: z.RefinementCtx) {
  const message = 'must not be set: the sender does'
  for (const header of Object.keys(headers).filter((each) => SENT_HEADER.test(each)))
    context.addIssue({ code: 'custom', path: [header], message })
}
