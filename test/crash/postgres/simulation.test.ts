import { describe } from 'vitest'
import { testAgreement } from '../simulation/agreement.ts'
import { testStoredScripts } from '../simulation/stored-scripts.ts'
import { openPostgresGround } from './ground.ts'
import { hasServer } from './servers.ts'

describe.runIf(await hasServer('the simulation on PostgreSQL'))(
  'a simulation on PostgreSQL',
  () => {
    testAgreement({
      name: 'simulation on PostgreSQL',
      path: 'test/crash/postgres/simulation.test.ts',
      openGround: openPostgresGround,
      seeds: { quick: 2, ci: 6, deep: 300 },
      steps: { quick: 60, ci: 100, deep: 400 },
      twice: null,
    })

    testStoredScripts(openPostgresGround)
  },
)
