import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const source = (path: string) => fileURLToPath(new URL(path, import.meta.url))

// Those that open an engine wherever they are told to.
const ON_BOTH = [
  'test/scenarios/*.test.ts',
  'test/machines/matrix.test.ts',
  'test/engine/{api,concurrency,consume,differential,effects,idempotency,lists}.test.ts',
  'test/engine/{platform-*,tenants,timers,transaction,verify}.test.ts',
  'test/delivery/{ordering,random-deliveries,resuming,verifying}.test.ts',
]

export default defineConfig({
  resolve: {
    // Like `paths` in tsconfig.json: tests and examples import what users import, from the sources.
    alias: [
      { find: /^pawl$/, replacement: source('src/index.ts') },
      { find: /^pawl\/machines$/, replacement: source('machines/index.ts') },
      { find: /^pawl\/testing$/, replacement: source('src/testing.ts') },
      { find: /^pawl\/webhooks$/, replacement: source('src/webhooks.ts') },
      { find: /^pawl\/rabbitmq$/, replacement: source('src/rabbitmq.ts') },
      { find: /^pawl\/nats$/, replacement: source('src/nats.ts') },
      { find: /^pawl\/postgres$/, replacement: source('src/postgres.ts') },
    ],
  },
  test: {
    // Faults keep the disk busy: the others would wait for it.
    projects: [
      {
        extends: true,
        test: {
          name: 'units',
          include: ['test/**/*.test.ts'],
          exclude: ['test/crash/**'],
          sequence: { groupOrder: 0 },
          typecheck: {
            enabled: true,
            checker: 'tsc',
            include: ['test/**/*.test-d.ts'],
            tsconfig: 'tsconfig.json',
          },
        },
      },
      // The same tests on the other store: what an engine does may not depend on where it keeps that.
      {
        extends: true,
        test: {
          name: 'postgres',
          // Fewer random runs than on SQLite, which takes less time for them.
          env: { PAWL_TEST_STORE: 'postgres', PAWL_NUM_RUNS: process.env.PAWL_NUM_RUNS ?? '20' },
          include: ON_BOTH,
          globalSetup: 'test/support/postgres-run.ts',
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'faults',
          include: ['test/crash/**/*.test.ts'],
          sequence: { groupOrder: 1 },
        },
      },
    ],
    // Processes, not threads: the tests open native database handles and kill children.
    pool: 'forks',
    // By default vitest leaves one core free, which is half of a small machine.
    maxWorkers: availableParallelism(),
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
})
