/** Which steps run no code of their machine, so that they always lead to the same place? @module */

import type { Decision, MachineState } from './decide.ts'
import type { JsonObject } from './definition.ts'
import type { Kind } from './kind.ts'
import type { ResourceRow } from './rows.ts'
import { builtinType, implementation, type StateNode, staticEvent } from './structure.ts'
import { candidates, type Snapshot, type Step } from './xstate.ts'

/** Where such a step leads: a decision without what the resource itself contributes. */
export interface FixedStep {
  readonly state: Omit<MachineState, 'context'>
  readonly emitted: readonly { readonly type: string; readonly status: string }[]
}

// A machine has few states with few commands each; only parallel regions could make more of them than this.
const REMEMBERED_STEPS = 1000

/** The decision about a command, if it has been found that no resource in this state makes a difference. */
export function knownDecision(kind: Kind, row: ResourceRow, command: string): Decision | undefined {
  const fixed = row.memory === null ? kind.fixedSteps.get(keyOf(row, command)) : null
  if (fixed === undefined || fixed === null) return undefined
  const context: JsonObject = JSON.parse(row.context)
  return {
    state: { ...fixed.state, context: row.context },
    emitted: fixed.emitted.map(({ type, status }) => ({ type, status, context })),
    timers: [],
    tells: [],
    actions: [],
  }
}

/** Remembers a decision that will be the same for every resource in this state, or that this one will not. */
export function rememberStep(
  kind: Kind,
  row: ResourceRow,
  command: string,
  taken: { readonly from: Snapshot; readonly step: Step; readonly decision: Decision },
): void {
  const key = keyOf(row, command)
  if (row.memory !== null || kind.fixedSteps.has(key)) return
  if (kind.fixedSteps.size >= REMEMBERED_STEPS) kind.fixedSteps.clear()
  kind.fixedSteps.set(key, isFixed(kind, row, command, taken) ? toFixed(taken.decision) : null)
}

function keyOf({ value }: ResourceRow, command: string): string {
  return `${command} ${value}`
}

function toFixed({ state: { context: _, ...state }, emitted }: Decision): FixedStep {
  return { state, emitted: emitted.map(({ type, status }) => ({ type, status })) }
}

/** Whether neither a guard nor an action of the user's has been asked on the way, nor will be. */
function isFixed(
  kind: Kind,
  row: ResourceRow,
  command: string,
  { from, step, decision }: { from: Snapshot; step: Step; decision: Decision },
): boolean {
  const { state, timers, tells, actions } = decision
  const isPlain = state.context === row.context && state.memory === null && !state.final
  if (!isPlain || timers.length + tells.length + actions.length > 0) return false
  if (kind.status !== undefined || step.microsteps.length !== 1) return false
  const nodes: readonly StateNode[] = [...from._nodes, ...step.snapshot._nodes]
  return (
    nodes.every((node) => isSilent(kind, node)) &&
    candidates(from, command).every(
      ({ guard, actions: own }) =>
        guard === undefined && own.every((one) => isStaticEmit(kind, one)),
    )
  )
}

/** Whether entering and leaving a node runs nothing but emits, and nothing follows from having entered it. */
function isSilent(kind: Kind, node: StateNode): boolean {
  const { type, entry, exit, always, invoke } = node
  const leadsNowhere = type !== 'final' && (always ?? []).length === 0 && invoke.length === 0
  const wayIn = type === 'compound' ? node.initial.actions : []
  return leadsNowhere && [...entry, ...exit, ...wayIn].every((one) => isStaticEmit(kind, one))
}

function isStaticEmit({ machine }: Kind, action: unknown): boolean {
  const resolved = implementation(machine, action)
  return builtinType(resolved) === 'xstate.emit' && staticEvent(resolved) !== undefined
}
