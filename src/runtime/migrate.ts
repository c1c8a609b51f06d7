/** How do all resources get to the versions of the machines that are registered? `migrate` @module */

import type { Caller, Context } from '../context.ts'
import type { Kind } from '../core/kind.ts'
import { planMigration } from '../core/migrate.ts'
import { createOverlay } from '../core/overlay.ts'
import { isPawlError, messageOf, refuseIssues } from '../errors.ts'
import { unknownKeys } from './options.ts'
import { toRun } from './writer.ts'

/** Options of `migrate`. */
export interface MigrateOptions {
  /** Whether to write nothing, and only tell what would happen. @defaultValue false */
  readonly dryRun?: boolean
}

/** What a migration has done or, as a dry run, would do. */
export interface MigrationReport {
  /** How many resources. */
  readonly migrated: number
  /** How many of each type, by the version that they had. */
  readonly steps: readonly MigrationStep[]
  /** The resources that could not be migrated: they stay as they are. */
  readonly failures: readonly MigrationFailure[]
}

/** Resources of one type that go from one version to another. */
export interface MigrationStep {
  readonly type: string
  readonly from: number
  readonly to: number
  readonly count: number
}

/** A resource that could not be migrated, and why. */
export interface MigrationFailure {
  readonly resource_id: string
  readonly message: string
}

// Few enough that no slice holds up the writer.
const AT_ONCE = 100

interface Pass {
  readonly context: Context
  readonly dryRun: boolean
  readonly steps: MigrationStep[]
  readonly failures: MigrationFailure[]
}

/**
 * Takes every resource of an earlier version of its machine to the registered one, slice by slice,
 * while the engine is in use. Each resource is a call of its own: one that fails stays as it is.
 */
export async function migrate(
  context: Context,
  options: MigrateOptions = {},
): Promise<MigrationReport> {
  checkOptions(options)
  context.store.requireAccess()
  const { dryRun = false } = options
  const pass: Pass = { context, dryRun, steps: [], failures: [] }
  for (const kind of context.registry.byType.values()) {
    if (kind.migrations.size > 0) await migrateKind(pass, kind)
  }
  const { steps, failures } = pass
  return { migrated: steps.reduce((sum, { count }) => sum + count, 0), steps, failures }
}

function checkOptions(options: MigrateOptions): void {
  const issues = unknownKeys(options, ['dryRun'])
  const { dryRun = false } = options
  if (typeof dryRun !== 'boolean') {
    issues.push({ path: ['dryRun'], code: 'invalid_type', message: 'has to be true or false' })
  }
  refuseIssues('the options', issues)
}

async function migrateKind(pass: Pass, kind: Kind): Promise<void> {
  const { store } = pass.context
  const failedBefore = pass.failures.length
  const counts = new Map<number, number>()
  for (let after: number | null = 0; after !== null; ) {
    const { rows, last } = await store.rowsBehind(kind.type, kind.fingerprint, after, AT_ONCE)
    const versions = await Promise.all(rows.map((row) => migrateOne(pass, kind, row)))
    for (const from of versions) {
      if (from !== null) counts.set(from, (counts.get(from) ?? 0) + 1)
    }
    after = last
  }
  const froms = [...counts].sort(([a], [b]) => a - b)
  for (const [from, count] of froms)
    pass.steps.push({ type: kind.type, from, to: kind.version, count })
  const isDone = pass.failures.length === failedBefore
  if (isDone && !pass.dryRun) await store.markChecked(kind.type, kind.fingerprint)
}

/** Migrates one resource; gives the version that it had, null when it stays as it is. */
async function migrateOne(
  { context, dryRun, failures }: Pass,
  kind: Kind,
  { id, tenant }: { readonly id: string; readonly tenant: string },
): Promise<number | null> {
  const caller = { tenant, actor: null, correlationId: null }
  try {
    return await (dryRun ? tryOut(context, caller, kind, id) : carryOut(context, caller, kind, id))
  } catch (error) {
    if (!isItsOwn(error)) throw error
    failures.push({
      resource_id: id,
      message: messageOf(error),
    })
    return null
  }
}

/** Decides the migration in layers that are then dropped. */
function tryOut(context: Context, caller: Caller, kind: Kind, id: string): Promise<number | null> {
  return context.store.read(() => planMigration(toRun(context, createOverlay(), caller), kind, id))
}

async function carryOut(
  { writer }: Context,
  caller: Caller,
  kind: Kind,
  id: string,
): Promise<number | null> {
  return (await writer.submit(caller, (run) => planMigration(run, kind, id))).value
}

/** Whether an error is about one resource, and not about the storage or the engine as a whole. */
function isItsOwn(error: unknown): boolean {
  return !isPawlError(error) || error.code === 'machine_invalid' || error.code === 'storage_failed'
}
