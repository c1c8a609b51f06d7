/** Is a connection shared, kept and ended as the destination and its deliveries ask for it? @module */

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  type Connections,
  createConnections,
  Failure,
  type Life,
  loadOptional,
  type Place,
} from '../../src/delivery/connections.ts'
import type { Receipt, Target } from '../../src/delivery/destination-type.ts'
import { gate, until } from '../support/until.ts'
import { callOf } from './contract.ts'

/** A connection that does nothing. */
interface Line {
  readonly target: Target<Place>
  readonly address: string
  readonly life: Life
  isClosed: boolean
}

const targetOf = (changes: Partial<Target<Place>> = {}): Target<Place> => ({
  ...{ id: 'evtd_1', config: { host: 'broker.invalid' }, secrets: {}, keys: [] },
  ...changes,
})

const other: Target<Place> = targetOf({ config: { host: 'other.invalid' } })

const OK: Receipt = { ok: true }

/** Aborts after so many turns of the queue of microtasks. */
async function stopAfter(ticks: number, stop: AbortController): Promise<void> {
  for (let tick = 0; tick < ticks; tick += 1) await undefined
  stop.abort()
}

describe('connections', () => {
  let lines: Line[]
  let opening: () => Promise<void>
  let closing: () => Promise<void>
  let connections: Connections<Line, Place>

  const create = (idleMs?: number) =>
    createConnections<Line, Place>(
      async (target, address, life) => {
        const line = { target, address, life, isClosed: false }
        lines.push(line)
        await opening()
        return line
      },
      async (line) => {
        await closing()
        line.isClosed = true
      },
      idleMs,
    )

  beforeEach(() => {
    lines = []
    opening = async () => {}
    closing = async () => {}
    connections = create()
  })

  afterEach(() => connections.close())

  const use = (
    target = targetOf(),
    work: () => Promise<Receipt> = async () => OK,
    call = callOf(),
  ) => connections.use(target, call, work)

  const never = () => new Promise<Receipt>(() => {})

  test('are made to the address of the host, once for all who come together', async () => {
    const receipts = await Promise.all([use(), use(), use()])

    expect(receipts).toEqual([OK, OK, OK])
    expect(lines).toMatchObject([{ address: '127.0.0.1', isClosed: false }])
  })

  test('are kept for the next one, whose configuration only has to be equal', async () => {
    await use(targetOf({ config: { host: 'broker.invalid' }, secrets: { password: 'a' } }))
    await use(targetOf({ config: { host: 'broker.invalid' }, secrets: { password: 'a' } }))

    expect(lines).toHaveLength(1)
  })

  test('belong to one destination each', async () => {
    await Promise.all([use(), use(targetOf({ id: 'evtd_2' }))])

    expect(lines).toHaveLength(2)
  })

  test('are ended when nobody has used them for a while, without holding up the process', async () => {
    connections = create(20)
    const { opened, open } = gate()
    const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout')
    const before = timers().length

    const long = use(targetOf(), () => opened.then(() => OK))
    await use()
    await until(() => lines.length === 1)
    open()
    await long

    expect(timers().length).toBeLessThanOrEqual(before)
    expect(lines[0]?.isClosed).toBe(false)
    await until(() => lines[0]?.isClosed === true)
    await use()
    expect(lines).toHaveLength(2)
  })

  test.each([
    ['configuration', other],
    ['secret', targetOf({ secrets: { password: 'new' } })],
  ])('are ended when the %s is another', async (_, changed) => {
    await use()
    await use(changed)

    await until(() => lines[0]?.isClosed === true)
    expect(lines).toMatchObject([{}, { target: changed, isClosed: false }])
  })

  test('of an old configuration are ended after what is under way on them', async () => {
    const { opened, open } = gate()
    const long = use(targetOf(), () => opened.then(() => OK))
    await until(() => lines.length === 1)

    await use(other)
    expect(lines[0]?.isClosed).toBe(false)
    open()

    expect(await long).toEqual(OK)
    await until(() => lines[0]?.isClosed === true)
  })

  test('that are still being made with an old configuration are given up', async () => {
    const { opened, open } = gate()
    opening = () => opened
    const early = use()
    await until(() => lines.length === 1)

    const late = use(other)
    open()

    expect(await early).toEqual({
      ok: false,
      error: 'connection_failed: the destination has been changed',
    })
    expect(await late).toEqual(OK)
    expect(lines[0]?.life.signal.aborted).toBe(true)
  })

  test('that are lost fail those who use them, and are replaced', async () => {
    const used = [use(targetOf(), never), use(targetOf(), never)]
    await until(() => lines.length === 1)

    lines[0]?.life.lost(new Failure('channel_closed', 'NOT_FOUND'))

    const receipt = { ok: false, error: 'channel_closed: NOT_FOUND' }
    expect(await Promise.all(used)).toEqual([receipt, receipt])
    expect(await use()).toEqual(OK)
    expect(lines).toHaveLength(2)
    await until(() => lines[0]?.isClosed === true)
  })

  test('that cannot be made fail all who wait, and are tried again', async () => {
    opening = async () => {
      throw new Failure('access_refused', 'who are you?')
    }
    const receipts = await Promise.all([use(), use()])
    opening = async () => {}

    const receipt = { ok: false, error: 'access_refused: who are you?' }
    expect(receipts).toEqual([receipt, receipt])
    expect(await use()).toEqual(OK)
    expect(lines).toHaveLength(2)
  })

  test.each([
    '10.0.0.1 is not a public address',
    'address_blocked: 10.0.0.1 is not a public address',
  ])('are not made to addresses that are not allowed: %s', async (message) => {
    const addressOf = () => {
      throw new Error(message)
    }

    expect(await use(targetOf(), async () => OK, callOf({ addressOf }))).toEqual({
      ok: false,
      error: 'address_blocked: 10.0.0.1 is not a public address',
    })
    expect(lines).toEqual([])
  })

  test('are not made to names that lead nowhere', async () => {
    const addressOf = async () => {
      throw Object.assign(new Error('getaddrinfo ENOTFOUND broker.invalid'), { code: 'ENOTFOUND' })
    }

    expect(await use(targetOf(), async () => OK, callOf({ addressOf }))).toEqual({
      ok: false,
      error: 'connection_failed: getaddrinfo ENOTFOUND broker.invalid',
    })
  })

  test('fail what throws on them, and are kept', async () => {
    const receipt = await use(targetOf(), async () => {
      throw new Error('no thanks')
    })

    expect(receipt).toEqual({ ok: false, error: 'rejected: no thanks' })
    await use()
    expect(lines).toHaveLength(1)
  })

  test('are no longer made when nobody waits for them', async () => {
    const stop = new AbortController()
    opening = () => new Promise(() => {})
    const waiting = use(targetOf(), async () => OK, callOf({ signal: stop.signal }))
    await until(() => lines.length === 1)

    stop.abort()

    expect(await waiting).toEqual({ ok: false, error: expect.stringMatching(/^timed_out: /) })
    expect(lines[0]?.life.signal.aborted).toBe(true)
  })

  test('are not even begun when nobody waits for the address any more', async () => {
    const stop = new AbortController()
    const { opened, open } = gate()
    const addressOf = () => opened.then(() => '127.0.0.1')
    const waiting = use(targetOf(), async () => OK, callOf({ signal: stop.signal, addressOf }))

    stop.abort()
    open()

    await waiting
    await connections.close()
    expect(lines).toEqual([])
  })

  test('send nothing for those who have gone while they were made', async () => {
    const stop = new AbortController()
    const { opened, open } = gate()
    opening = () => opened
    const sent: string[] = []
    const sending = (text: string) => async () => {
      sent.push(text)
      return OK
    }
    const gone = use(targetOf(), sending('gone'), callOf({ signal: stop.signal }))
    const kept = use(targetOf(), sending('kept'))

    stop.abort()
    open()

    expect(await Promise.all([gone, kept])).toMatchObject([{ ok: false }, OK])
    expect(sent).toEqual(['kept'])
  })

  test('send nothing for those who go in the very moment in which they are there', async () => {
    const late: number[] = []
    for (let ticks = 0; ticks < 30; ticks += 1) {
      const stop = new AbortController()
      const sending = async () => {
        if (stop.signal.aborted) late.push(ticks)
        return OK
      }
      opening = async () => void stopAfter(ticks, stop)

      await use(targetOf({ id: `evtd_${ticks}` }), sending, callOf({ signal: stop.signal }))
    }

    expect(late).toEqual([])
  })

  test('are not used by those who come too late', async () => {
    const receipt = await use(targetOf(), async () => OK, callOf({ signal: AbortSignal.abort() }))

    expect(receipt).toMatchObject({ ok: false, error: expect.stringMatching(/^timed_out: /) })
    expect(lines).toEqual([])
  })

  test('are all ended by closing, with what is under way', async () => {
    const used = [use(targetOf(), never), use(targetOf({ id: 'evtd_2' }), never)]
    await until(() => lines.length === 2)
    await use(other)

    await connections.close()

    const receipt = { ok: false, error: 'connection_failed: the connection has been closed' }
    expect(await Promise.all(used)).toEqual([receipt, receipt])
    expect(lines.map(({ isClosed }) => isClosed)).toEqual([true, true, true])
  })

  test('that do not end by themselves are gone a second later', async () => {
    closing = () => new Promise(() => {})
    await use()
    expect(lines[0]?.life.signal.aborted).toBe(false)

    await connections.close()

    expect(lines[0]?.life.signal.aborted).toBe(true)
  })
})

describe('a package that is not installed', () => {
  test('is asked for', async () => {
    const missing = 'pawl-is-not-installed'

    await expect(loadOptional('amqplib', () => import(missing))).rejects.toThrow(
      'connection_failed: amqplib has to be installed: npm install amqplib',
    )
  })
})
