import { describe } from 'vitest'
import { testAgreement } from './simulation/agreement.ts'
import { openSqliteGround } from './simulation/sqlite-ground.ts'

describe('a simulation of the whole engine', () => {
  testAgreement({
    name: 'simulation',
    path: 'test/crash/simulation.test.ts',
    openGround: openSqliteGround,
    seeds: { quick: 4, ci: 12, deep: 2500 },
    steps: { quick: 100, ci: 200, deep: 400 },
    twice: 10,
  })
})
