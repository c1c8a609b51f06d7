/** What does a plan carry along while one call runs through it? @module */

import { machineInvalid } from '../errors.ts'
import type { Kind } from './kind.ts'
import type { Mark, Overlay } from './overlay.ts'
import type { Registry } from './registry.ts'
import type { Entry } from './rows.ts'

/** Which secret of what; the same place is needed to decrypt it. */
export interface SecretPlace {
  readonly type: string
  readonly id: string
  readonly name: string
}

/** Encrypts secrets and makes new ones; the shell has the keys and the randomness. */
export interface Vault {
  /** Encrypts a secret. Throws `encryption_key_missing` without a key. */
  seal(place: SecretPlace, value: unknown): Buffer
  /** Decrypts a secret. Throws `decryption_failed` when no key fits, or for another place. */
  open(place: SecretPlace, envelope: Buffer): unknown
  /** A new random secret. */
  generate(prefix: string): string
}

/** One call: who asked, when, and what it has decided so far. */
export interface Run {
  readonly registry: Registry
  readonly overlay: Overlay
  /** What had been decided before it. */
  readonly since: Mark
  /** Milliseconds since 1970. */
  readonly time: number
  readonly tenant: string
  /** As JSON text. */
  readonly actor: string | null
  readonly correlationId: string
  /** The entry of the log that led here. */
  readonly causation: Entry | null
  /** How many commands led here, one causing the other. */
  readonly depth: number
  /** How many commands the call has told in all, shared by the whole cascade. */
  readonly told: { count: number }
  readonly vault: Vault
  /** A new id with this prefix. */
  readonly mint: (prefix: string) => string
}

// Built-in cascades are three deep. A cascade this long is two machines that tell each other for ever.
const DEEPEST = 64

// The machine's own bound is in depth; two resources that tell two others each double with every step.
const MOST_TOLD = 10_000

/** Counts a told command. Throws `machine_invalid` when a call has told more than a sensible cascade can. */
export function countTold({ told }: Run, kind: Kind): void {
  told.count += 1
  if (told.count <= MOST_TOLD) return
  throw machineInvalid(
    kind.type,
    `one call makes it and others tell more than ${MOST_TOLD} commands`,
  )
}

/** The same call, one command further down a cascade. */
export function deeper(run: Run, kind: Kind, causation: Entry | null): Run {
  if (run.depth >= DEEPEST) {
    throw machineInvalid(
      kind.type,
      `a cascade of commands that tell one another is more than ${DEEPEST} deep`,
    )
  }
  return { ...run, depth: run.depth + 1, causation: causation ?? run.causation }
}

/** The kind of a type that registration has checked. */
export function kindOf(run: Run, type: string): Kind {
  const kind = run.registry.byType.get(type)
  if (kind === undefined)
    throw machineInvalid(type, 'it is not registered, but stored resources are of it')
  return kind
}
