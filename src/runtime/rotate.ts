/** How do secrets get from an old encryption key to the new one? `rotateKeys` @module */

import type { Context } from '../context.ts'
import { outcomePlace } from '../core/plan.ts'
import type { SecretPlace } from '../core/run.ts'
import { isPawlError } from '../errors.ts'

// Few enough that no slice holds up the writer.
const AT_ONCE = 100

/** What a rotation has done. */
export interface Rotation {
  /** How many secrets have been encrypted anew. */
  readonly rotated: number
}

interface Pass {
  rotated: number
  /** The first secret that no key could open. */
  failure: unknown
}

/**
 * Encrypts every secret anew that was not encrypted with the first key, slice by slice, while the
 * engine is in use. After it, the other keys are no longer needed.
 *
 * Throws `decryption_failed` for a secret that no key opens, after all others have been done.
 */
export async function rotateKeys(context: Context): Promise<Rotation> {
  const pass: Pass = { rotated: 0, failure: null }
  await rotateSecrets(context, pass)
  await rotateOutcomes(context, pass)
  if (pass.failure !== null) throw pass.failure
  return { rotated: pass.rotated }
}

async function rotateSecrets(context: Context, pass: Pass): Promise<void> {
  const { store } = context
  for (let last = null; ; ) {
    const rows = await store.secretsAfter(last, AT_ONCE)
    const stale = rows.flatMap((row) => {
      const { type, resourceId: id, name, envelope: old } = row
      const envelope = resealed(context, pass, { type, id, name }, old)
      return envelope === null ? [] : [{ resourceId: id, name, old, envelope }]
    })
    if (stale.length > 0) pass.rotated += await store.reseal(stale)
    last = rows.at(-1) ?? null
    if (rows.length < AT_ONCE) return
  }
}

async function rotateOutcomes(context: Context, pass: Pass): Promise<void> {
  const { store } = context
  for (let last = null; ; ) {
    const rows = await store.secretOutcomesAfter(last, AT_ONCE)
    const stale = rows.flatMap(({ tenant, key, secrets: old }) => {
      const secrets = resealed(context, pass, outcomePlace(tenant, key), old)
      return secrets === null ? [] : [{ tenant, key, old, secrets }]
    })
    if (stale.length > 0) pass.rotated += await store.resealOutcomes(stale)
    last = rows.at(-1) ?? null
    if (rows.length < AT_ONCE) return
  }
}

/** The same secret under the first key; null when it is there already, or cannot be opened. */
function resealed(
  { keys }: Context,
  pass: Pass,
  place: SecretPlace,
  envelope: Buffer,
): Buffer | null {
  if (keys.isCurrent(envelope)) return null
  try {
    return keys.seal(place, keys.open(place, envelope))
  } catch (error) {
    if (!isPawlError(error, 'decryption_failed')) throw error
    pass.failure ??= error
    return null
  }
}
