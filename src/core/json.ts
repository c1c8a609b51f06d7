/** Is a value plain JSON, and what is its detached copy? @module */

import { type Issue, withArticle } from '../errors.ts'

/** How large a value may be. */
export interface JsonLimits {
  /** Containers inside one another. */
  readonly depth: number
  /** Bytes of its JSON text in UTF-8. */
  readonly bytes: number
}

/** For values that the engine or a machine made. */
export const UNLIMITED: JsonLimits = {
  depth: Number.POSITIVE_INFINITY,
  bytes: Number.POSITIVE_INFINITY,
}

interface Copying {
  readonly limits: JsonLimits
  readonly issues: Issue[]
  readonly ancestors: object[]
  /** Where the copy has come to; copied only where there is something to report. */
  readonly path: (string | number)[]
  /** Bytes of JSON text that the copy takes at least. */
  size: number
}

// Enough to see what is wrong; a hostile value could have millions.
const MOST_ISSUES = 100

/**
 * Copies a value that JSON can carry exactly, so that nobody else holds a reference into the copy.
 *
 * Properties that are undefined are left out, as in JSON. Everything else that JSON would change or
 * drop is reported with its path: cycles, functions, dates, lone surrogates, NaN…
 */
export function detach(
  value: unknown,
  limits: JsonLimits,
): { copy: unknown; issues: readonly Issue[] } {
  const copying: Copying = { limits, issues: [], ancestors: [], path: [], size: 0 }
  const copy = read(value, copying)
  if (copying.issues.length === 0 && !fits(copy, copying)) {
    report(copying, 'too_large', `is larger than ${limits.bytes} bytes of JSON`)
  }
  return { copy, issues: copying.issues }
}

function read(value: unknown, copying: Copying): unknown {
  try {
    return copyOf(value, copying)
  } catch {
    // A getter or a proxy of whoever gave it threw.
    return report(copying, 'not_json', 'cannot be read')
  }
}

/** Says where and why a value is not plain JSON; nothing when it is. */
export function jsonIssues(value: unknown): readonly Issue[] {
  return detach(value, UNLIMITED).issues
}

function copyOf(value: unknown, copying: Copying): unknown {
  copying.size += typeof value === 'string' ? value.length + 2 : 1
  if (isTooMuch(copying)) return undefined
  switch (typeof value) {
    case 'string':
      if (!value.isWellFormed()) report(copying, 'malformed_unicode', 'holds a lone surrogate')
      return value
    case 'number':
      if (!Number.isFinite(value))
        report(copying, 'not_json', `is ${value}, which JSON cannot hold`)
      // JSON has no negative zero.
      return value === 0 ? 0 : value
    case 'boolean':
      return value
    case 'object':
      return value === null ? null : copyOfContainer(value, copying)
    default:
      report(copying, 'not_json', `is of type ${typeof value}, which JSON cannot hold`)
      return undefined
  }
}

/** Whether going on is pointless: a value can be small in memory and endless as a text. */
function isTooMuch({ size, issues, limits }: Copying): boolean {
  return size > limits.bytes || issues.length >= MOST_ISSUES
}

function copyOfContainer(value: object, copying: Copying): unknown {
  if (copying.ancestors.includes(value)) return report(copying, 'cyclic', 'refers back to itself')
  if (copying.path.length >= copying.limits.depth) {
    return report(copying, 'too_deep', `is nested deeper than ${copying.limits.depth} levels`)
  }
  copying.ancestors.push(value)
  const copy = Array.isArray(value) ? copyOfArray(value, copying) : copyOfObject(value, copying)
  copying.ancestors.pop()
  return copy
}

function copyOfArray(value: readonly unknown[], copying: Copying): unknown[] {
  const copy: unknown[] = []
  // By index, to visit holes as well, which JSON would turn into null.
  for (let index = 0; index < value.length && !isTooMuch(copying); index++) {
    copying.path.push(index)
    copy.push(copyOf(value[index], copying))
    copying.path.pop()
  }
  return copy
}

/** Whether an object inherits nothing of its own: its prototype is that of all objects, of whichever realm, or null. */
function hasPlainPrototype(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  if (typeof prototype !== 'object' || prototype === null) return prototype === null
  return Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, 'isPrototypeOf')
}

function copyOfObject(value: object, copying: Copying): unknown {
  if (!hasPlainPrototype(value)) {
    return report(
      copying,
      'not_json',
      `is ${withArticle(value.constructor?.name || 'class')} and not a plain object`,
    )
  }
  const copy: Record<string, unknown> = {}
  for (const key of Object.keys(value)) {
    const item = (value as Record<string, unknown>)[key]
    if (item === undefined) continue
    if (isTooMuch(copying)) break
    copying.size += key.length + 3
    copying.path.push(key)
    if (!key.isWellFormed()) report(copying, 'malformed_unicode', 'has a key with a lone surrogate')
    put(copy, key, copyOf(item, copying))
    copying.path.pop()
  }
  return copy
}

/** Sets a property as data, whatever its name: assigning to `__proto__` would set the prototype. */
export function put(target: Record<string, unknown>, key: string, value: unknown): void {
  if (key !== '__proto__') target[key] = value
  else
    Object.defineProperty(target, key, {
      value,
      enumerable: true,
      configurable: true,
      writable: true,
    })
}

function report(copying: Copying, code: string, message: string): undefined {
  copying.issues.push({ path: [...copying.path], code, message })
}

// One UTF-16 unit is at most six bytes of JSON text (an escape), and a number with its comma at most 25 for
// its one.
const MOST_BYTES_PER_UNIT = 25

function fits(value: unknown, { size, limits: { bytes } }: Copying): boolean {
  if (size > bytes) return false
  if (size * MOST_BYTES_PER_UNIT <= bytes) return true
  return new TextEncoder().encode(JSON.stringify(value)).length <= bytes
}

/** Texts of equal values are equal, whatever the order of their keys. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) => (isPlainObject(item) ? sorted(item) : item))
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function sorted(value: Record<string, unknown>): Record<string, unknown> {
  const result: Record<string, unknown> = {}
  for (const key of Object.keys(value).sort()) put(result, key, value[key])
  return result
}
