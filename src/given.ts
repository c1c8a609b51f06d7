/** How are the options of a call read, so that nobody's getter or proxy has a say later? @module */

import { isDate } from './clock.ts'
import { type Issue, invalidInput, isPawlError } from './errors.ts'

// Far more than any call has options, and as many as a list of statuses or types can sensibly name.
const MOST_OPTIONS = 100
const MOST_ITEMS = 1000

/**
 * Copies options, and the lists in them, once; what is no object is left for others to refuse. Throws
 * `invalid_input` for what cannot be read, and for what is endless.
 */
export function taken<T>(options: T): T {
  if (typeof options !== 'object' || options === null) return options
  return readable(() => {
    if (Array.isArray(options)) throw refusal([], 'invalid_type', 'has to be an object')
    const names = Object.keys(options)
    if (names.length > MOST_OPTIONS) throw refusal([], 'too_many', `has ${names.length} options`)
    const entries = names.map((name) => [name, copied(name, options[name as keyof T])])
    return Object.fromEntries(entries) as T
  })
}

/** Copies an object that may have any number of properties. Throws `invalid_input` for what cannot be read. */
export function takenWhole<T extends object>(given: T): T {
  return readable(() => ({ ...given }))
}

/** Copies a single argument, as options are. */
export function takenValue<T>(value: T): T {
  return readable(() => copied('', value))
}

function copied<T>(name: string, value: T): T {
  if (typeof value !== 'object' || value === null) return value
  if (isDate(value)) return structuredClone(value)
  if (!Array.isArray(value)) return value
  const { length } = value
  if (length > MOST_ITEMS) throw refusal([name], 'too_many', `has ${length} items`)
  return Array.from({ length }, (_, index) => value[index]) as T
}

/** Reads something of a caller's. Throws `invalid_input` where that is impossible. */
export function readable<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (isPawlError(error)) throw error
    throw refusal([], 'not_readable', 'cannot be read')
  }
}

function refusal(path: Issue['path'], code: string, message: string): Error {
  return invalidInput('what was given', [{ path, code, message }])
}
