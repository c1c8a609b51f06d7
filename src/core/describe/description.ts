/** What is said of a kind of resource, as plain data? @module */

import type { TellTarget } from '../tell.ts'

/** A kind of resource: what it can be, what it takes, what it reports, what it does by itself. */
export interface Description {
  /** Its name, as in its events and in `object`. */
  readonly type: string
  /** What its ids begin with. */
  readonly prefix: string
  /** The version that its definition gives the machine. */
  readonly version: number
  /** How its life begins. */
  readonly initial: DescribedStart
  /** The machine itself, whose id is the empty text, and every state in it, in document order. */
  readonly states: readonly DescribedState[]
  /** What it takes besides `create`, in the order of its definition. */
  readonly commands: readonly DescribedCommand[]
  /** Its public events. */
  readonly events: readonly DescribedEvent[]
  /** What happens by itself after a while. */
  readonly timers: readonly DescribedTimer[]
  /** All that can change its state, by the states that they start from, in document order. */
  readonly transitions: readonly DescribedTransition[]
  /** The states and transitions as a Mermaid diagram, a `stateDiagram-v2`. */
  readonly mermaid: string
}

/** What `create` does; an `always` of the first state can lead further at once. */
export interface DescribedStart {
  /** The id of the first state: innermost, or the outermost parallel one. */
  readonly state: string
  /** Null when the definition names the status itself. */
  readonly status: string | null
  /** The public events of the create, where the machine says so statically. */
  readonly emits: readonly string[]
  /** Who is told of it. */
  readonly tells: readonly DescribedTell[]
}

/** A state of the machine. */
export interface DescribedState {
  /** The keys from the outermost state to this one with dots between them, such as `active.review`; dots and backslashes within a key have a backslash before them. */
  readonly id: string
  /** Its key; the type of the resource for the machine itself. */
  readonly name: string
  /** The status that it gives the resource; null where a state in it does, for a history state, and when the definition names the status itself. */
  readonly status: string | null
  /** In all states of a parallel one the resource is at once; a history state stands for where it was before. */
  readonly kind: 'atomic' | 'compound' | 'parallel' | 'final' | 'history'
  /** How far down a history state remembers; null for any other. */
  readonly history: 'shallow' | 'deep' | null
  /** What the machine says about it. */
  readonly description: string | null
  /** The id of the state that a compound one begins with, or that a history state names for the first time. */
  readonly initial: string | null
  /** The id of the state around it; null for the machine itself. */
  readonly parent: string | null
}

/** A command that the resource takes. */
export interface DescribedCommand {
  /** What `type` says when it is sent. */
  readonly name: string
  /** The description that its schema carries. */
  readonly description: string | null
  /** Whether only other resources may send it. */
  readonly internal: boolean
  /** The ids of the innermost states that take it, by themselves or through a state around them; guards may still refuse. */
  readonly states: readonly string[]
}

/** A public event of the resource. */
export interface DescribedEvent {
  /** Its full name, such as `session.idle`. */
  readonly type: string
  /** Where the machine emits it; empty for an event that is only made at run time. */
  readonly sources: readonly EventSource[]
}

/** A place in the machine that emits an event. */
export interface EventSource {
  /** Whether it is emitted on the way into the state, on the way out, or by a transition that starts there. */
  readonly when: 'entry' | 'exit' | 'transition'
  /** The id of the state. */
  readonly state: string
  /** What `on` of that transition says; null for the others. */
  readonly on: string | null
}

/** A command that the resource sends itself after a while. */
export interface DescribedTimer {
  /** The name of its delay, or the milliseconds where it has none; for a delayed `raise` what it raises. */
  readonly name: string
  /** The id of the state that sets it; the timer of an `after` ends with this state. */
  readonly state: string
  /** In milliseconds; null when it depends on the resource. */
  readonly delay: number | null
  /** The ids of the states that it can lead to; empty when the resource stays where it is. */
  readonly to: readonly string[]
}

/** A way from one state to another. One that enters several regions at once is listed once for each. */
export interface DescribedTransition {
  /** The id of the state in which it can be taken, and so in all states within it. */
  readonly from: string
  /** The id of the state that it leads to; null when the resource stays where it is. */
  readonly to: string | null
  /** The command, pattern of commands, timer or raised name that it waits for; null for `always` and `done`. */
  readonly on: string | null
  /** What sets it off: `done` the end of what runs within the state, `raised` something that only the machine itself says. */
  readonly kind: 'command' | 'timer' | 'raised' | 'always' | 'done'
  /** The name of the guard that has to agree. */
  readonly guard: string | null
  /** Whether a target that is the state itself, or within it, leaves it first, so that its timers begin anew. */
  readonly reenter: boolean
  /** The public events on the way out, on the way and on the way in, where the machine says so statically. */
  readonly emits: readonly string[]
  /** Who is told on the way. */
  readonly tells: readonly DescribedTell[]
}

/** A command to other resources. */
export interface DescribedTell {
  /** The field that refers to the other resource, or the type of those that refer to this one and by which field. */
  readonly to: TellTarget
  /** The name of the command; null when it is made at run time. */
  readonly command: string | null
  /** Whether a refusal there refuses the whole. */
  readonly required: boolean
}
