import { defineConfig } from 'vitest/config'
import base from './vitest.config.ts'

/** The tests of what is mutated that take little time: each runs thousands of times. */
export default defineConfig({
  resolve: base.resolve ?? {},
  test: {
    include: [
      'test/core/**/*.test.ts',
      'test/machines/{json-schema,machines}.test.ts',
      'test/scenarios/*.test.ts',
      'test/errors.test.ts',
      'test/engine/{effects,platform-references,platform-rules,secrets}.test.ts',
    ],
    isolate: false,
    testTimeout: 60_000,
  },
})
