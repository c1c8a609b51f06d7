/** How is a machine drawn in Mermaid? @module */

import type { DescribedState, DescribedTransition, Description } from './description.ts'
import { namesOf, shown, shownDuration } from './text.ts'

type Described = Omit<Description, 'mermaid'>

/** A box of the diagram. */
interface Box {
  readonly name: string
  readonly label: string
  /** The state in whose box it stands; null for the diagram itself. */
  readonly home: string | null
  /** Null for the box that stands for any state of its home. */
  readonly state: DescribedState | null
  /** What can happen in it that no arrow shows. */
  readonly lines: string[]
}

interface Arrow {
  readonly from: Box
  readonly to: Box
  readonly labels: string[]
}

interface Sketch {
  readonly described: Described
  readonly boxes: Map<string, Box>
  /** By state, the boxes that stand for any state within it. */
  readonly anywhere: Map<string, Box>
  readonly arrows: Arrow[]
}

/** Draws states and transitions as a `stateDiagram-v2`. */
export function toMermaid(described: Described): string {
  const sketch = sketchOf(described)
  for (const { kind, id, initial } of described.states) {
    if (kind === 'history' && initial !== null && !isWithin(id, initial)) draw(sketch, id, initial)
  }
  for (const transition of described.transitions) place(sketch, transition)
  return ['stateDiagram-v2', ...indented(block(sketch, null))].join('\n')
}

function sketchOf(described: Described): Sketch {
  const names = namesOf(described.states)
  const [machine] = described.states
  // What has states one after the other is the diagram itself, and no box in it.
  const drawn = described.states.filter((state) => state !== machine || state.kind !== 'compound')
  const boxes = drawn.map((state): [string, Box] => [
    state.id,
    {
      name: names.get(state.id) ?? '',
      label: labelOf(state),
      home: drawn.some(({ id }) => id === state.parent) ? state.parent : null,
      state,
      lines: [],
    },
  ])
  return { described, boxes: new Map(boxes), anywhere: new Map(), arrows: [] }
}

function labelOf({ name, history }: DescribedState): string {
  if (history === null) return shown(name)
  return history === 'deep' ? 'H*' : 'H'
}

function place(sketch: Sketch, transition: DescribedTransition): void {
  const { from, to } = transition
  const label = labelOfTransition(sketch.described, transition)
  if (to === null) {
    resting(sketch, from)?.lines.push(label)
    return
  }
  const goal = reachable(sketch, from, to)
  // Mermaid loses arrows between a state and one around it.
  if (isWithin(from, goal)) {
    resting(sketch, from)?.lines.push(`${label} → ${sketch.boxes.get(goal)?.label}`)
  } else draw(sketch, from, goal, label)
}

/** Where an arrow to a state can end: going to a state around oneself is going to where that begins. */
function reachable(sketch: Sketch, from: string, to: string): string {
  const isOutside = sketch.boxes.has(to) && !isWithin(from, to)
  const initial = sketch.described.states.find(({ id }) => id === to)?.initial ?? null
  return isOutside || initial === null ? to : reachable(sketch, from, initial)
}

function draw(sketch: Sketch, from: string, to: string, label?: string): void {
  const start = isWithin(to, from) ? anywhereIn(sketch, from) : sketch.boxes.get(from)
  const end = sketch.boxes.get(to)
  if (start === undefined || end === undefined) return
  // Of several arrows from a state to itself Mermaid shows one.
  const known = sketch.arrows.find((arrow) => arrow.from === start && arrow.to === end)
  const arrow: Arrow = known ?? { from: start, to: end, labels: [] }
  if (known === undefined) sketch.arrows.push(arrow)
  if (label !== undefined) arrow.labels.push(label)
}

/** The box for what happens without leaving a state: itself, or what stands for all states in it. */
function resting(sketch: Sketch, id: string): Box | undefined {
  const isSplit = sketch.described.states.some(({ parent }) => parent === id)
  return isSplit ? anywhereIn(sketch, id) : sketch.boxes.get(id)
}

function anywhereIn(sketch: Sketch, id: string): Box {
  const known = sketch.anywhere.get(id)
  if (known !== undefined) return known
  const around = sketch.boxes.get(id)
  const taken = [...sketch.boxes.values()].map(({ name }) => name)
  let name = around === undefined ? 'any_state' : `${around.name}_any_state`
  while (taken.includes(name)) name += '_'
  const home = around === undefined ? null : id
  const box = { name, label: 'any state', home, state: null, lines: [] }
  sketch.anywhere.set(id, box)
  return box
}

/** Whether a state lies within another. */
function isWithin(inner: string, outer: string): boolean {
  return outer === '' ? inner !== '' : inner.startsWith(`${outer}.`)
}

/** The lines within a state, or those of the diagram. */
function block(sketch: Sketch, home: string | null): string[] {
  const boxes = [...sketch.boxes.values(), ...sketch.anywhere.values()].filter(
    (box) => box.home === home,
  )
  const around = sketch.described.states.find(({ id }) => id === (home ?? ''))
  if (home !== null && around?.kind === 'parallel') return regions(sketch, boxes)
  const arrows = sketch.arrows.filter((arrow) => homeOf(sketch, arrow) === home)
  const first = sketch.boxes.get(around?.initial ?? '')
  const ends = boxes.filter(isFinal)
  const mentioned = new Set([first, ...ends, ...arrows.flatMap(({ from, to }) => [from, to])])
  return [
    ...(first ? [`[*] --> ${first.name}`] : []),
    ...boxes.flatMap((box) => declaration(sketch, box, mentioned.has(box))),
    ...arrows.map(arrowLine),
    ...ends.map(endLine),
  ]
}

function regions(sketch: Sketch, boxes: readonly Box[]): string[] {
  return boxes.flatMap((box, index) => [
    ...(index === 0 ? [] : ['--']),
    ...declaration(sketch, box, false),
    ...(isFinal(box) ? [endLine(box)] : []),
  ])
}

/** A box is drawn where it is mentioned, so only arrows between neighbours may stand inside. */
function homeOf({ described }: Sketch, { from, to }: Arrow): string | null {
  const around = described.states.find(({ id }) => id === from.home)
  return from.home === to.home && around?.kind === 'compound' ? from.home : null
}

function declaration(sketch: Sketch, box: Box, isMentioned: boolean): string[] {
  const { name, label, lines, state } = box
  const alias = `state "${label}" as ${name}`
  if (state !== null && sketch.described.states.some(({ parent }) => parent === state.id)) {
    const head = label === name ? `state ${name}` : alias
    return [`${head} {`, ...indented(block(sketch, state.id)), '}']
  }
  const named = label === name && lines.length === 0
  if (named) return isMentioned ? [] : [name]
  return [alias, ...lines.map((line) => `${name} : ${line}`)]
}

function arrowLine({ from, to, labels }: Arrow): string {
  const text = labels.length === 0 ? '' : ` : ${labels.join('<br/>')}`
  return `${from.name} --> ${to.name}${text}`
}

function isFinal({ state }: Box): boolean {
  return state?.kind === 'final'
}

function endLine({ name }: Box): string {
  return `${name} --> [*]`
}

function indented(lines: readonly string[]): string[] {
  return lines.map((line) => `  ${line}`)
}

function labelOfTransition(described: Described, transition: DescribedTransition): string {
  const { guard } = transition
  return triggerLabel(described, transition) + (guard === null ? '' : ` [${shown(guard)}]`)
}

function triggerLabel({ timers }: Described, { kind, on, from }: DescribedTransition): string {
  if (kind === 'always') return 'always'
  if (kind === 'done') return 'when done'
  const name = on ?? ''
  if (kind !== 'timer') return shown(name)
  const delay = delayOf(timers, name, from)
  if (delay === null) return `after ${shown(name)}`
  const duration = shownDuration(delay)
  return Number(name) === delay ? `after ${duration}` : `after ${shown(name)} (${duration})`
}

/** The delay of a timer, where it has only one: what is raised in several places can have several. */
function delayOf(timers: Described['timers'], name: string, from: string): number | null {
  const named = timers.filter((timer) => timer.name === name)
  const own = named.filter(({ state }) => state === from)
  const [delay = null, ...others] = new Set(
    (own.length > 0 ? own : named).map(({ delay }) => delay),
  )
  return others.length === 0 ? delay : null
}
