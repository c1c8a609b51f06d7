/** How do names become text that Mermaid reads as nothing else? @module */

import type { DescribedState } from './description.ts'

// What begins a statement or ends a block, what the diagram calls itself and its own dots, and what comes
// before "TB".
const RESERVED =
  /^(?:accdescr|acctitle|as|class|classdef|click|default|end|href|note|root|scale|state|statediagram|style)$|_(?:start|end)$|direction$/i

/** The names of states in a diagram, by their ids: their keys where they can be, else made from their paths. */
export function namesOf(
  states: readonly Pick<DescribedState, 'id' | 'name'>[],
): ReadonlyMap<string, string> {
  const wanted = states.map(({ name }) => identifier(name))
  const names = new Map<string, string>()
  const taken = new Set<string>()
  for (const [index, { id }] of states.entries()) {
    const own = wanted[index] ?? ''
    const isUnique = wanted.indexOf(own) === wanted.lastIndexOf(own)
    const name = firstFree(isUnique ? own : identifier(id), taken)
    names.set(id, name)
    taken.add(name)
  }
  return names
}

function identifier(text: string): string {
  const plain = text.replaceAll(/\W/g, '_').replace(/^(?![a-z])/i, 's')
  return RESERVED.test(plain) || plain in {} ? `${plain}_` : plain
}

function firstFree(name: string, taken: ReadonlySet<string>): string {
  let free = name
  for (let number = 2; taken.has(free); number++) free = `${name}_${number}`
  return free
}

/**
 * A name as part of a label. What Mermaid could take for syntax, for HTML or for Markdown becomes an
 * entity: all but letters, digits, and what separates words between them.
 */
export function shown(name: string): string {
  const text = name.replaceAll(
    /[\p{L}\p{N}]|(?<=[\p{L}\p{N}])[_./-](?=[\p{L}\p{N}])|(?<=\S) (?=\S)|(.)/gsu,
    (plain: string, other: string | undefined) => (other === undefined ? plain : entity(other)),
  )
  // "direction LR" is a statement wherever it stands.
  const harmless = text.replaceAll(/(?<=directio)n(?=\s|$)/gi, entity)
  return harmless || shown('""')
}

function entity(character: string): string {
  return `#${character.codePointAt(0)};`
}

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
] as const

/** A number of milliseconds in the largest unit that leaves no fraction, such as `10m`. */
export function shownDuration(milliseconds: number): string {
  const unit = UNITS.find(([, length]) => milliseconds !== 0 && milliseconds % length === 0)
  const [name, length] = unit ?? ['ms', 1]
  return `${milliseconds / length}${name}`
}
