/** How are calls about different resources committed side by side? @module */

import type { Base, Writer } from '../context.ts'
import { createWriter } from './writer.ts'

/** Creates as many writers as the store has use for; calls about the same resource go to the same one. */
export function createWriters(context: Base): Writer {
  const writers = Array.from({ length: context.store.writers }, () => createWriter(context))
  let turn = 0
  const writerOf = (about: string | undefined): Writer => {
    turn += 1
    const place = (about === undefined ? turn : sumOf(about)) % writers.length
    return writers[place] as Writer
  }
  const [first] = writers
  if (first !== undefined && writers.length === 1) return first
  return {
    submit: (caller, plan, about) => writerOf(about).submit(caller, plan, about),
    close: async () => {
      await Promise.all(writers.map((writer) => writer.close()))
    },
  }
}

/** A number that depends on a text; the end of an id is random. */
function sumOf(text: string): number {
  return text.charCodeAt(text.length - 1) + 31 * text.charCodeAt(text.length - 2)
}
