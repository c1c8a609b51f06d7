/** How does a machine's `tell` come out of XState as data? @module */

import type { Command } from './definition.ts'

/** Marks an action function as a tell, and carries what it says. */
export const TELL = Symbol('pawl.tell')

/** Who is told: what the named reference field refers to, or the live resources of a type that refer to this one. */
export type TellTarget = string | { readonly type: string; readonly by: string }

/** What the command of a tell may be made from. */
export interface TellArgs<Context, Event> {
  readonly context: Context
  readonly event: Event
  readonly self: { readonly id: string }
}

/** A tell as the machine declares it. */
export interface TellDeclaration {
  readonly to: TellTarget
  readonly command: Command | ((args: TellArgs<unknown, unknown>) => Command)
  readonly required: boolean
}

/** A tell with its command, as data. */
export interface Tell {
  readonly to: TellTarget
  readonly command: Command
  readonly required: boolean
}

/** The declaration behind an action, if the action is a tell. */
export function tellDeclaration(action: unknown): TellDeclaration | undefined {
  return typeof action === 'function' ? (action as { [TELL]?: TellDeclaration })[TELL] : undefined
}
