import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** Gives the path of a database file in a fresh directory that goes away with the test. */
export function temporaryFile(name = 'pawl.db'): string {
  const directory = makeTemporaryDirectory()
  onTestFinished(() => removeDirectory(directory))
  return join(directory, name)
}

/** Makes a directory that the caller removes: for properties, whose runs outnumber tests. */
export function makeTemporaryDirectory(): string {
  return mkdtempSync(join(tmpdir(), 'pawl-test-'))
}

/** Removes a directory and all that is in it. */
export function removeDirectory(directory: string): void {
  rmSync(directory, { recursive: true, force: true })
}
