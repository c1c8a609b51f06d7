import { spawn } from 'node:child_process'
import { getEventListeners, once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import type { Context, Running } from '../../src/context.ts'
import { beginLife, graceOver, stopAll } from '../../src/runtime/running.ts'
import { turns } from '../support/transactions.ts'

function setup() {
  const running = new Set<Running>()
  return { running, context: { running } as unknown as Context }
}

/** Whether all lives have stopped, some turns of the loop from now. */
async function haveStopped(stopping: Promise<void>): Promise<boolean> {
  let stopped = false
  void stopping.then(() => {
    stopped = true
  })
  await turns(3)
  return stopped
}

describe('a life', () => {
  test('goes on until its caller ends it', () => {
    const { context, running } = setup()
    const stopper = new AbortController()

    const life = beginLife(context, stopper.signal)
    expect(life.signal.aborted).toBe(false)
    expect(running.size).toBe(1)
    stopper.abort()

    expect(life.signal.aborted).toBe(true)
    expect(life.closing.aborted).toBe(false)
  })

  test('is over at once with a signal that was aborted before', () => {
    const { context } = setup()

    expect(beginLife(context, AbortSignal.abort()).signal.aborted).toBe(true)
  })

  test('lets its signal and the engine go when it has ended', () => {
    const { context, running } = setup()
    const { signal } = new AbortController()

    for (let turn = 0; turn < 10; turn++) {
      const life = beginLife(context, signal)
      life.end()
      life.end()
      expect(life.signal.aborted).toBe(true)
    }

    expect(running.size).toBe(0)
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  test('is stopped with its engine, which waits until it has ended', async () => {
    const { context } = setup()
    const lives = [beginLife(context), beginLife(context, new AbortController().signal)]

    const stopping = stopAll(context)
    expect(lives.map(({ signal }) => signal.aborted)).toEqual([true, true])
    expect(lives.map(({ closing }) => closing.aborted)).toEqual([true, true])
    lives[0]?.end()
    expect(await haveStopped(stopping)).toBe(false)
    lives[1]?.end()

    expect(await haveStopped(stopping)).toBe(true)
  })

  test('that has ended is not waited for', async () => {
    const { context } = setup()
    beginLife(context).end()

    expect(await haveStopped(stopAll(context))).toBe(true)
  })
})

describe('the grace of what has to stop', () => {
  /** A life on a clock that stands still, and how often its grace has been over. */
  function setupGrace() {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    const { context } = setup()
    const stopper = new AbortController()
    const life = beginLife(context, stopper.signal)
    const rung = { times: 0 }
    const callOff = graceOver(life)(() => {
      rung.times += 1
    })
    return { context, stopper, life, rung, callOff }
  }

  test('is over some time after the engine has begun to close', async () => {
    const { context, rung } = setupGrace()
    await vi.advanceTimersByTimeAsync(10_000)
    expect(vi.getTimerCount()).toBe(0)

    void stopAll(context)
    await vi.advanceTimersByTimeAsync(1999)
    expect(rung.times).toBe(0)
    await vi.advanceTimersByTimeAsync(1)

    expect(rung.times).toBe(1)
    expect(vi.getTimerCount()).toBe(0)
  })

  test('has no end for a caller who stops it alone', async () => {
    const { stopper, rung } = setupGrace()

    stopper.abort()
    await vi.advanceTimersByTimeAsync(10_000)

    expect(rung.times).toBe(0)
  })

  test.each(['before', 'after'])(
    'leaves nothing when it is called off %s the end',
    async (when) => {
      const { context, life, callOff } = setupGrace()
      if (when === 'after') void stopAll(context)

      callOff()
      if (when === 'before') void stopAll(context)

      expect(getEventListeners(life.closing, 'abort')).toEqual([])
      expect(vi.getTimerCount()).toBe(0)
    },
  )
})

describe('an engine that everything goes on in', () => {
  test.each(['close', 'leave'])(
    'leaves nothing behind: its process ends by itself after %s',
    async (how) => {
      const script = fileURLToPath(new URL('./exiting-process.ts', import.meta.url))
      const args = ['--import', 'tsx', script, how, 'follow']
      const child = spawn(process.execPath, args, { stdio: 'inherit' })
      onTestFinished(() => void child.kill('SIGKILL'))

      expect(await once(child, 'exit')).toEqual([0, null])
    },
  )
})
