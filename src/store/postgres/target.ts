/** Where does a database go that is copied to what `postgres` has named? @module */

import type { StoreSource } from '../store.ts'
import { type Import, type ImportOptions, openImport } from './import.ts'

const targets = new WeakMap<StoreSource, () => ImportOptions>()

/** Has a source of a store taken for a target of copies as well. */
export function asTarget(source: StoreSource, options: () => ImportOptions): StoreSource {
  targets.set(source, options)
  return source
}

/** Opens a target; undefined for what is none. */
export function openTarget(source: StoreSource): Promise<Import> | undefined {
  const options = targets.get(source)
  return options && openImport(options())
}
