import { expect, test } from 'vitest'
import { createCompany } from '../../src/runtime/company.ts'
import { nextTurn } from '../../src/runtime/wait.ts'

/** Counts the turns of the event loop that have begun since. */
function countTurns() {
  const counted = { turns: 0, over: false }
  const turn = () => {
    counted.turns += 1
    if (!counted.over) setImmediate(turn)
  }
  setImmediate(turn)
  return counted
}

/** What comes after everything that the microtasks and the ticks lead to, within the same turn. */
function afterTicks(): Promise<void> {
  return new Promise((resolve) => process.nextTick(() => process.nextTick(resolve)))
}

test('the first call of a turn goes at once', () => {
  const company = createCompany()

  expect(company.gather()).toBe(undefined)
  expect(company.gather()).toBe(undefined)
})

test('calls after a commit of the same turn wait until it is over', async () => {
  const company = createCompany()
  company.committed(false)
  const counted = countTurns()

  const gathering = company.gather()

  expect(gathering).toBeInstanceOf(Promise)
  await afterTicks()
  expect(counted.turns).toBe(0)
  await gathering
  expect(counted.turns).toBe(1)
  counted.over = true
})

test('the first call of the next turn goes at once again', async () => {
  const company = createCompany()
  company.committed(false)

  await nextTurn()

  expect(company.gather()).toBe(undefined)
})

test('the next call of a caller who was alone goes at once', async () => {
  const company = createCompany()
  for (let n = 0; n < 3; n += 1) {
    company.committed(true)

    await Promise.resolve()
    await null

    expect(company.gather()).toBe(undefined)
  }
})

test('whoever else comes after a commit of one call waits', async () => {
  const company = createCompany()
  company.committed(true)

  await afterTicks()

  expect(company.gather()).toBeInstanceOf(Promise)
})

test('a caller who was alone no longer is once several have shared a commit', () => {
  const company = createCompany()
  company.committed(true)
  company.committed(false)

  expect(company.gather()).toBeInstanceOf(Promise)
})

test('a commit in a later turn counts for that turn', async () => {
  const company = createCompany()
  company.committed(false)
  await nextTurn()
  company.committed(false)

  expect(company.gather()).toBeInstanceOf(Promise)
  await nextTurn()
  expect(company.gather()).toBe(undefined)
})
