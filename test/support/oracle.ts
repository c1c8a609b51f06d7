import { type AnyStateMachine, createActor, getNextTransitions } from 'xstate'
import type { Command } from './engine.ts'

/** Bare XState, with a clock that is moved by hand: what the engine has to agree with. */
export interface Oracle {
  readonly status: () => string
  readonly context: () => unknown
  readonly isDone: () => boolean
  /** The events emitted since the last call. */
  readonly takeEmitted: () => string[]
  /** Sends a legal command and gives `accepted`, or else the reason why it is not legal. */
  readonly send: (command: Command) => 'accepted' | 'terminal' | 'guard' | 'not_accepted'
  readonly advance: (ms: number) => void
  /**
   * Whether XState still knows its timers. Entering a state that it has not left (by way of its own
   * parent's history) sets a second timer with the same id, and from then on it cancels the wrong one
   * or none: there is nothing to agree with.
   */
  readonly isSound: () => boolean
}

/** An actor of XState that lives on between two events, whatever restarts the engine has. */
export function createOracle(machine: AnyStateMachine, id: string, input: unknown): Oracle {
  let sound = true
  const clock = createManualClock(
    () => actor.getSnapshot().status === 'active',
    (timers) => {
      sound &&= timers <= Object.keys(actor.system.getSnapshot()._scheduledEvents).length
    },
  )
  const emitted: string[] = []
  const actor = createActor(machine, { clock, id, input })
  actor.on('*', (event: { readonly type: string }) => emitted.push(event.type))
  actor.start()

  function send(command: Command) {
    const snapshot = actor.getSnapshot()
    if (snapshot.status === 'done') return 'terminal'
    if (machine.getTransitionData(snapshot, command).length === 0) {
      const declared = getNextTransitions(snapshot).some((next) => next.eventType === command.type)
      return declared ? 'guard' : 'not_accepted'
    }
    actor.send(command)
    return 'accepted'
  }

  return {
    send,
    status: () => statusOf(machine.root, actor.getSnapshot().value),
    context: () => actor.getSnapshot().context,
    isDone: () => actor.getSnapshot().status === 'done',
    takeEmitted: () => emitted.splice(0),
    advance: clock.advance,
    isSound: () => sound,
  }
}

interface Pending {
  readonly due: number
  readonly run: () => void
}

/**
 * Like XState's SimulatedClock, but a timer sees its own due time, and timers due at the same
 * time run in the order they were set: SimulatedClock leaves both open.
 */
function createManualClock(isLive: () => boolean, onSet: (timers: number) => void) {
  const pending = new Map<number, Pending>()
  let now = 0
  let count = 0

  function setTimeout(run: () => void, delay: number): number {
    pending.set(++count, { due: now + delay, run })
    onSet(pending.size)
    return count
  }

  function clearTimeout(id: number): void {
    pending.delete(id)
  }

  function nextDue(until: number): [number, Pending] | undefined {
    const due = [...pending].filter(([, timer]) => timer.due <= until)
    return due.sort(([a, x], [b, y]) => x.due - y.due || a - b)[0]
  }

  function advance(ms: number): void {
    const until = now + ms
    for (let next = nextDue(until); next !== undefined; next = nextDue(until)) {
      const [id, timer] = next
      pending.delete(id)
      now = timer.due
      if (isLive()) timer.run()
    }
    now = until
  }

  return { setTimeout, clearTimeout, advance }
}

type StateNode = AnyStateMachine['root']

/** The key of the innermost active state, or of the parallel state where regions begin. */
function statusOf(node: StateNode, value: unknown): string {
  if (node.type === 'parallel') return node.parent ? node.key : 'active'
  if (typeof value === 'string') return value
  const [key = '', rest] = Object.entries(value as object)[0] ?? []
  const child = node.states[key]
  if (child === undefined) throw new Error(`no state ${key} below ${node.key}`)
  return statusOf(child, rest)
}
