/** What stands for the entries of a resource that have been pruned? @module */

import { hash } from 'node:crypto'
import type { Replayed } from '../core/replay.ts'
import type { SealedEntry } from '../core/rows.ts'
import type { BaseRow } from '../store/audit.ts'

/** The base that a resource gets when `last` is its last entry to be pruned. */
export function toBase(replayed: Replayed, last: SealedEntry): BaseRow {
  const base = {
    resourceId: last.resourceId,
    seq: last.seq,
    state: JSON.stringify(replayed),
    hash: last.hash,
  }
  return { ...base, digest: digestOf(base) }
}

/** The resource as it was after its last pruned entry. Throws for a base that has been altered. */
export function fromBase(base: BaseRow): Replayed {
  if (!digestOf(base).equals(base.digest))
    throw new Error('what stands for its pruned entries has been altered')
  return JSON.parse(base.state) as Replayed
}

function digestOf({ resourceId, seq, state, hash: chain }: Omit<BaseRow, 'digest'>): Buffer {
  const content = JSON.stringify([resourceId, seq, state, chain.toString('hex')])
  return hash('sha256', content, 'buffer')
}
