/** Which shapes do the inputs and commands of several resources share? @module */

import { z } from 'zod'
import type { JsonObject } from '../src/core/definition.ts'
import { strictObject } from '../src/strict-object.ts'

/** The id of another resource. */
export const id = z.string().min(1).max(255)

/** A name that people give. */
export const name = z.string().min(1)

/** Why something is done, for the log. */
export const reason = z.string().exactOptional()

/** A command without a payload. */
export const nothing = strictObject({})

/** An address on the web. */
export const httpUrl = z.url({
  protocol: /^https?$/,
  error: 'must be an http or https URL',
  abort: true,
})

/** Any JSON object, kept as it is: `z.record` would drop a key named `__proto__`. */
export const jsonObject = z.custom<JsonObject>(isObject, 'must be an object')

/** An object whose values are all strings. */
export const stringMap = z.custom<Readonly<Record<string, string>>>(
  (value) => isObject(value) && Object.values(value).every((entry) => typeof entry === 'string'),
  'must be an object of strings',
)

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
