/** Do the log and the state of all resources agree? `verify` @module */

import type { Context } from '../context.ts'
import { refuseIssues } from '../errors.ts'
import { unknownKeys } from '../runtime/options.ts'
import {
  type Inspection,
  readable,
  type VerificationDifference,
  type VerifyProgress,
} from './inspection.ts'
import { verifyConsumers } from './verify-consumers.ts'
import { verifyDeliveries } from './verify-deliveries.ts'
import { verifyFile } from './verify-file.ts'
import { type LogExtent, verifyCount, verifyLog } from './verify-log.ts'
import { verifyOutcomes } from './verify-outcomes.ts'
import { verifyOwners } from './verify-owners.ts'
import { verifyResources } from './verify-resources.ts'

/** Options of `verify`. */
export interface VerifyOptions {
  /** Called now and then with how much has been checked. @defaultValue nobody is told */
  readonly onProgress?: (checked: VerifyProgress) => void
}

/** What a check of the whole database has found. */
export interface Verification {
  /** Whether there are no differences. */
  readonly ok: boolean
  readonly checked: VerifyProgress & { readonly timers: number }
  readonly differences: readonly VerificationDifference[]
  /** The last place of the log that has been pruned, and so could not be checked; only when some has. */
  readonly pruned?: number
}

/**
 * Checks the whole database, of all tenants, while it is in use: that the log is complete and unaltered, that
 * the machines say again what it says, and that it leads to everything else that is stored. Changes nothing.
 *
 * Throws `invalid_input`, and the `storage_*` errors but for damaged parts of the file, which it reports.
 */
export async function verify(context: Context, options: VerifyOptions = {}): Promise<Verification> {
  checkOptions(options)
  const inspection = await begin(context, options.onProgress)
  const log = await verifyLog(inspection)
  const visited = await verifyResources(inspection, log.head)
  await verifyOwners(inspection)
  await verifyOutcomes(inspection)
  await verifyConsumers(inspection)
  await verifyDeliveries(inspection)
  await verifyFile(inspection)
  const pruned = await prunedBy(inspection, log)
  verifyCount(inspection, log, visited, pruned)
  const { checked, differences, report } = inspection
  report({ resources: checked.resources, events: checked.events })
  const ok = differences.length === 0
  return { ok, checked, differences, ...(pruned > 0 && { pruned }) }
}

async function begin(
  context: Context,
  report: Inspection['report'] = () => {},
): Promise<Inspection> {
  const { store, clock, keys } = context
  const inspection = {
    ...{ context, report, differences: [], reported: 0 },
    checked: { resources: 0, events: 0, timers: 0 },
    hasKeys: keys.hasKeys,
    now: clock.now().getTime(),
  }
  const latest = await readable(inspection, null, 'the times of the log', () => store.latestTime())
  return { ...inspection, now: Math.max(inspection.now, latest?.read ?? 0) }
}

/** How far the log has been pruned by now. */
async function prunedBy(inspection: Inspection, { pruned }: LogExtent): Promise<number> {
  const { store } = inspection.context
  const found = await readable(inspection, null, 'the end of the log', () => store.log())
  return found?.read.pruned ?? pruned
}

function checkOptions(options: VerifyOptions): void {
  const issues = unknownKeys(options, ['onProgress'])
  const { onProgress } = options
  if (onProgress !== undefined && typeof onProgress !== 'function') {
    const message = 'has to be a function'
    issues.push({ path: ['onProgress'], code: 'invalid_type', message })
  }
  refuseIssues('the options of verify', issues)
}
