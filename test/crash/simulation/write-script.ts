/** Writes scripts: what happens how often. */

import { COMMANDS, goingOn } from '../../support/game-moves.ts'
import type { ModelCommand } from '../../support/model-rules.ts'
import { type Dice, diceOf } from './dice.ts'
import type { Burst, Call, Fault, Script, Sending, Step } from './script.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
const DAY = 24 * 60 * MINUTE

const OPENING: readonly Step[] = ['agent', 'source', 'task', 'credential', 'session', 'task_run']
  .flatMap((type) => [type, type])
  .map((type) => ({ do: 'burst', on: 0, calls: [{ do: 'create', type, picks: [0, 0, 0, 0] }] }))

/** Writes the script of a seed. */
export function writeScript(seed: number, length: number): Script {
  const dice = diceOf(seed)
  const file = dice.chance(0.3)
  const steps = [...OPENING]
  while (steps.length < OPENING.length + length) {
    steps.push(...(dice.chance(0.02) ? writeChase(dice) : [writeStep(dice, file)]))
  }
  return { seed, file, steps }
}

/** A timer falls due unnoticed; then things leave the state that it waits in, and come back, while it is fired. */
function writeChase(dice: Dice): Step[] {
  const send = (type: string, command: ModelCommand, same = false): Sending => {
    return { do: 'send', type, pick: dice.upTo(2), willing: true, same, command }
  }
  const [ask, answer] = [commandOf('require_interaction'), commandOf('submit_interaction')]
  const [jump, before, calls]: readonly [number, readonly Call[], readonly Call[]] = dice.chance(
    0.5,
  )
    ? [
        16 * MINUTE,
        [send('task_run', ask)],
        [send('task_run', answer), send('task_run', ask, true)],
      ]
    : [
        11 * MINUTE,
        [{ do: 'create', type: 'task_run', picks: [0, 0, 1, 0] }],
        [send('task_run', { type: 'start' }), send('task_run', { type: 'complete' }, true)],
      ]
  return [
    { do: 'burst', on: 0, calls: before },
    { do: 'restart', on: 0, drop: dice.chance(0.5), jump },
    ...(dice.chance(0.5) ? [{ do: 'second' as const, jump: 0 }] : []),
    { do: 'burst', on: 0, calls, tick: dice.upTo(2) },
  ]
}

function commandOf(type: string): ModelCommand {
  const command = goingOn.find((each) => each.type === type)
  if (command === undefined) throw new Error(`nobody sends ${type}`)
  return command
}

function writeStep(dice: Dice, file: boolean): Step {
  const on = dice.upTo(2)
  const kind = dice.weighed([
    ...([
      [560, 'burst'],
      [70, 'ask'],
      [150, 'advance'],
      [20, 'race'],
    ] as const),
    ...([
      [file ? 30 : 20, 'restart'],
      [12, 'second'],
      [6, 'prune'],
    ] as const),
    ...([
      [3, 'verify'],
      [2, 'backup'],
    ] as const),
  ])
  switch (kind) {
    case 'burst':
      return writeBurst(dice, on, file)
    case 'ask':
      return { do: kind, on, call: writeSend(dice) }
    case 'advance':
      return { do: kind, on, ms: writeWait(dice), ...maybe(dice, 0.1, () => tickFault(dice)) }
    case 'restart':
      return { do: kind, on, drop: dice.chance(0.5), jump: writeJump(dice) }
    case 'second':
      return { do: kind, jump: writeJump(dice) }
    case 'prune':
      return { do: kind, days: dice.oneOf([0, 1, 2, 30]) }
    case 'race':
    case 'verify':
    case 'backup':
      return { do: kind }
  }
}

function maybe(dice: Dice, chance: number, write: () => Fault): { readonly fault?: Fault } {
  return dice.chance(chance) ? { fault: write() } : {}
}

function writeWait(dice: Dice): number {
  const short = dice.oneOf([0, 1, 30 * SECOND, MINUTE, 4 * MINUTE, 5 * MINUTE, 10 * MINUTE])
  return dice.weighed([
    [90, short],
    [10, 30 * MINUTE],
    [4, DAY],
    [2, 400 * DAY],
  ])
}

function writeJump(dice: Dice): number {
  return dice.oneOf([0, 0, 0, 1, -1, MINUTE, -MINUTE, 11 * MINUTE, -DAY, DAY, 2 * DAY])
}

function writeBurst(dice: Dice, on: number, file: boolean): Burst {
  const calls = writeCalls(dice, dice.oneOf([1, 1, 2, 3, 4, 6, 8, 12]))
  const company = dice.weighed([
    [80, 'nobody'],
    [12, 'transaction'],
    [10, 'tick'],
  ])
  const burst: Burst = { do: 'burst', on, calls }
  if (company === 'tick') {
    return { ...burst, tick: dice.upTo(2), ...maybe(dice, 0.2, () => tickFault(dice)) }
  }
  const fault = maybe(dice, 0.18, () => writeFault(dice, file))
  if (company === 'nobody') return { ...burst, ...fault }
  const inside = writeCalls(dice, 1 + dice.upTo(4))
  const transaction = { calls: inside, commits: dice.chance(0.6), note: dice.chance(0.7) }
  return { ...burst, transaction, ...(fault.fault?.at === 'begin' ? {} : fault) }
}

/** A fault that nobody can wait out, so that it does not turn on who came first. */
function tickFault(dice: Dice): Fault {
  const at = dice.oneOf(['write', 'commit'] as const)
  const when = dice.oneOf(['before', 'after'] as const)
  const code = at === 'write' ? 'SQLITE_FULL' : 'SQLITE_IOERR_FSYNC'
  return { at, nth: 1 + dice.upTo(at === 'write' ? 6 : 1), code, when, dies: false }
}

function writeFault(dice: Dice, file: boolean): Fault {
  const at = dice.oneOf(['begin', 'write', 'write', 'write', 'commit', 'commit'] as const)
  const nth = { begin: 1, write: 1 + dice.upTo(20), commit: dice.oneOf([1, 1, 1, 2]) }[at]
  const when = at === 'begin' ? 'before' : dice.oneOf(['before', 'after'] as const)
  const dies = file && dice.chance(0.4)
  return { at, nth, when, dies, code: dies ? FAILED : dice.oneOf(codesAt(at, when)) }
}

const FAILED = 'SQLITE_IOERR_WRITE'

/** What SQLite may say: the lock is taken at the beginning, and a full disk is no news after the end. */
function codesAt(at: Fault['at'], when: Fault['when']): readonly string[] {
  if (at === 'begin') return ['SQLITE_BUSY', 'SQLITE_FULL', FAILED]
  return at === 'commit' && when === 'after'
    ? [FAILED, 'SQLITE_IOERR_FSYNC']
    : ['SQLITE_FULL', FAILED]
}

function writeCalls(dice: Dice, count: number): Call[] {
  return Array.from({ length: count }, () => writeCall(dice))
}

function writeCall(dice: Dice): Call {
  const kind = dice.weighed<Call['do']>([
    [26, 'create'],
    [100, 'send'],
    [8, 'again'],
    [1, 'stray'],
  ])
  if (kind === 'again') return { do: kind, back: dice.upTo(4), other: dice.chance(0.15) }
  if (kind === 'send') return writeSend(dice)
  if (kind === 'stray') return { do: kind, type: 'agent', command: { type: 'delete' } }
  return { do: kind, type: writeType(dice), picks: writePicks(dice), ...keyed(dice) }
}

function writeType(dice: Dice): string {
  return dice.weighed([
    [12, 'task_run'],
    [2, 'session'],
    [1, 'agent'],
    [1, 'source'],
    [1, 'task'],
    [2, 'credential'],
    [3, 'storage'],
    [1, 'event_destination'],
  ])
}

function writePicks(dice: Dice): number[] {
  return [dice.upTo(3), dice.upTo(3), dice.oneOf([0, 1, 1, 1, 2]), dice.upTo(7)]
}

function keyed(dice: Dice): { readonly keyed?: true } {
  return dice.chance(0.2) ? { keyed: true } : {}
}

const RESERVED = ['run_attached', 'run_started', 'run_settled']

function writeSend(dice: Dice): Sending {
  const [type, among] = dice.weighed([
    [40, ['task_run', goingOn]],
    [20, ['task_run', COMMANDS.task_run]],
    [26, ['session', [{ type: 'start' }]]],
    [6, ['session', COMMANDS.session]],
    [5, ['credential', COMMANDS.credential]],
    [5, ['task', COMMANDS.task]],
    [1, ['agent', COMMANDS.agent]],
    [2, ['source', COMMANDS.source]],
    [1, ['storage', COMMANDS.storage]],
    [4, ['event_destination', COMMANDS.event_destination]],
    [1, ['session', RESERVED.map((name) => ({ type: name, run_id: 'trun_1' }))]],
    [1, ['task', [{ type: 'explode' }]]],
  ] as const)
  const commands: readonly ModelCommand[] = among ?? []
  const expects = dice.weighed([
    [20, undefined],
    [2, 'current' as const],
    [1, 'stale' as const],
  ])
  const sending = { do: 'send' as const, type, pick: dice.upTo(3), willing: dice.chance(0.8) }
  const command = dice.oneOf(commands)
  return { ...sending, command, ...keyed(dice), ...(expects && { expects }) }
}
