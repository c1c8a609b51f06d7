/** Does the linter enforce the architecture? Every rule is made to fire. @module */

import { describe, expect, test } from 'vitest'
import { lint } from './lint.ts'

interface Layer {
  readonly allowed: readonly string[]
  readonly forbidden: readonly string[]
}

/** By file: what it may import, and what it may not. `{ x }` is a value, `{ X }` is a type. */
const layers: Record<string, Layer> = {
  'src/duration.ts': {
    allowed: ["{ x } from './errors.ts'"],
    forbidden: ["{ x } from './context.ts'", "{ x } from './core/decide.ts'", "{ x } from 'zod'"],
  },
  'src/ids.ts': {
    allowed: ["{ x } from 'nanoid'", "{ x } from 'node:crypto'"],
    forbidden: ["{ x } from './store/store.ts'", "{ x } from 'node:fs'"],
  },
  'src/resource.ts': {
    allowed: ["type { X } from 'xstate'", "{ x } from './core/tell.ts'"],
    forbidden: ["{ x } from 'xstate'", "{ x } from './engine.ts'", "type { X } from 'kysely'"],
  },
  'src/context.ts': {
    allowed: ["type { X } from './store/store.ts'", "type { X } from './ids.ts'"],
    forbidden: [
      "{ x } from './engine.ts'",
      "{ x } from 'xstate'",
      "{ x } from '../machines/agent.ts'",
    ],
  },
  'src/core/decide.ts': {
    allowed: [
      "{ x } from './plan.ts'",
      "{ x } from '../errors.ts'",
      "{ x } from '../duration.ts'",
      "type { X } from '../clock.ts'",
      "{ x } from 'xstate'",
    ],
    forbidden: [
      "{ x } from '../store/rows.ts'",
      "{ x } from '../runtime/writer.ts'",
      "{ x } from '../log/history.ts'",
      "{ x } from '../engine.ts'",
      "{ x } from '../resource.ts'",
      "type { X } from '../context.ts'",
      "{ x } from '../ids.ts'",
      "{ x } from '../../machines/session.ts'",
      "{ x } from 'kysely'",
      "{ x } from 'better-sqlite3'",
      "{ x } from 'node:crypto'",
      "{ x } from 'node:fs/promises'",
      "{ x } from 'zod'",
      "{ x } from 'nanoid'",
      "{ x } from 'ajv'",
    ],
  },
  'src/store/rows.ts': {
    allowed: [
      "type { X } from '../core/definition.ts'",
      "{ x } from './schema.ts'",
      "{ x } from '../errors.ts'",
      "{ x } from '../ids.ts'",
      "{ x } from 'kysely'",
      "{ x } from 'node:crypto'",
    ],
    forbidden: [
      "{ x } from '../core/decide.ts'",
      "{ x } from '../runtime/writer.ts'",
      "{ x } from '../log/history.ts'",
      "{ x } from '../engine.ts'",
      "{ x } from '../resource.ts'",
      "{ x } from './sqlite/open.ts'",
      "{ x } from 'better-sqlite3'",
      "{ x } from 'xstate'",
    ],
  },
  'src/store/sqlite/open.ts': {
    allowed: [
      "{ x } from 'better-sqlite3'",
      "{ x } from 'node:fs/promises'",
      "{ x } from './pragmas.ts'",
      "{ x } from '../schema.ts'",
      "{ x } from '../../errors.ts'",
      "type { X } from '../../core/definition.ts'",
    ],
    forbidden: [
      "{ x } from '../../core/decide.ts'",
      "{ x } from '../../runtime/writer.ts'",
      "{ x } from '../../engine.ts'",
      "{ x } from 'xstate'",
    ],
  },
  'src/runtime/writer.ts': {
    allowed: [
      "{ x } from '../core/decide.ts'",
      "{ x } from '../store/store.ts'",
      "{ x } from '../context.ts'",
      "{ x } from '../log/history.ts'",
    ],
    forbidden: [
      "{ x } from '../engine.ts'",
      "{ x } from '../testing.ts'",
      "{ x } from '../index.ts'",
      "{ x } from '../store/sqlite/open.ts'",
      "{ x } from '../../machines/index.ts'",
      "{ x } from 'better-sqlite3'",
      "type { X } from 'xstate'",
    ],
  },
  'src/log/history.ts': {
    allowed: ["{ x } from '../store/store.ts'", "{ x } from '../core/decide.ts'"],
    forbidden: [
      "{ x } from '../engine.ts'",
      "{ x } from '../testing.ts'",
      "{ x } from '../store/sqlite/open.ts'",
      "{ x } from 'better-sqlite3'",
      "{ x } from 'xstate'",
    ],
  },
  'src/webhooks.ts': {
    allowed: ["{ x } from './delivery/signature.ts'", "{ x } from './errors.ts'"],
    forbidden: ["{ x } from './engine.ts'", "{ x } from 'undici'", "{ x } from './context.ts'"],
  },
  'src/delivery/signature.ts': {
    allowed: ["{ x } from 'node:crypto'"],
    forbidden: ["{ x } from '../context.ts'", "{ x } from 'undici'", "{ x } from 'node:http'"],
  },
  'src/delivery/request.ts': {
    allowed: ["{ x } from 'undici'", "{ x } from './addresses.ts'", "{ x } from '../log/event.ts'"],
    forbidden: [
      "{ x } from '../engine.ts'",
      "{ x } from '../store/sqlite/open.ts'",
      "{ x } from 'better-sqlite3'",
      "{ x } from 'xstate'",
    ],
  },
  'src/rabbitmq.ts': {
    allowed: [
      "{ x } from 'amqplib'",
      "{ x } from './delivery/destination-type.ts'",
      "{ x } from './strict-object.ts'",
    ],
    forbidden: ["{ x } from './engine.ts'", "{ x } from './context.ts'", "{ x } from 'undici'"],
  },
  'src/nats.ts': {
    allowed: [
      "{ x } from '@nats-io/jetstream'",
      "{ x } from './delivery/destination-type.ts'",
      "{ x } from './strict-object.ts'",
    ],
    forbidden: ["{ x } from './engine.ts'", "{ x } from './context.ts'", "{ x } from 'amqplib'"],
  },
  'src/engine.ts': {
    allowed: [
      "{ x } from '../machines/index.ts'",
      "{ x } from './store/sqlite/open.ts'",
      "type { Database } from 'better-sqlite3'",
    ],
    forbidden: [
      "{ x } from './testing.ts'",
      "{ x } from './index.ts'",
      "{ x } from 'xstate/graph'",
      "{ x } from 'xstate'",
      "{ x } from 'better-sqlite3'",
    ],
  },
  'src/testing.ts': {
    allowed: ["{ x } from './engine.ts'", "{ x } from '../machines/index.ts'"],
    forbidden: [
      "{ x } from 'xstate'",
      "{ x } from 'xstate/graph'",
      "{ x } from 'better-sqlite3'",
      "{ x } from './store/sqlite/open.ts'",
    ],
  },
  'machines/session.ts': {
    allowed: [
      "{ x } from '../src/resource.ts'",
      "{ x } from '../src/duration.ts'",
      "{ x } from '../src/strict-object.ts'",
      "type { X } from '../src/core/definition.ts'",
      "type { X } from '../src/errors.ts'",
      "{ x } from './task-run.ts'",
      "{ x } from 'xstate'",
      "{ x } from 'zod'",
    ],
    forbidden: [
      "{ x } from '../src/core/definition.ts'",
      "{ x } from '../src/errors.ts'",
      "{ x } from '../src/core/decide.ts'",
      "{ x } from '../src/engine.ts'",
      "{ x } from 'node:fs'",
      "{ x } from 'ajv'",
    ],
  },
  'machines/index.ts': {
    allowed: ["{ x } from './session.ts'", "{ x } from '../src/errors.ts'"],
    forbidden: ["{ x } from '../src/engine.ts'", "{ x } from 'ajv'"],
  },
  'machines/json-schema.ts': {
    allowed: [
      "{ x } from 'ajv'",
      "{ x } from 'ajv/dist/2020.js'",
      "type { X } from '../src/errors.ts'",
    ],
    forbidden: [
      "{ x } from '../src/errors.ts'",
      "{ x } from 'xstate'",
      "{ x } from './session.ts'",
    ],
  },
  'examples/quickstart.ts': {
    allowed: [
      "{ x } from 'pawl'",
      "{ x } from 'pawl/machines'",
      "{ x } from 'pawl/testing'",
      "{ x } from 'xstate'",
      "{ x } from 'node:fs'",
    ],
    forbidden: [
      "{ x } from '../src/engine.ts'",
      "{ x } from '../machines/index.ts'",
      "{ x } from 'pawl/src/engine.ts'",
      "{ x } from './shared.ts'",
    ],
  },
}

/** By file: the globals that it may not touch. */
const globals: Record<string, readonly string[]> = {
  'src/core/plan.ts': [
    'new Date()',
    'Date.now()',
    'setTimeout(() => {}, 1)',
    'setInterval(() => {}, 1)',
    'setImmediate(() => {})',
    'queueMicrotask(() => {})',
    "fetch('')",
    'crypto.randomUUID()',
    'performance.now()',
    'process.cwd()',
    'globalThis.Date',
  ],
  'src/runtime/timers.ts': ['Date.now()', 'new Date()'],
  'machines/agent.ts': ['Date.now()'],
}

/** A rule, the file that breaks it, and how. */
const craft: readonly (readonly [rule: string, path: string, source: string])[] = [
  ['noBarrelFile', 'src/a-barrel.ts', "export { x } from './errors.ts'"],
  ['noConsole', 'src/a-console.ts', "export const a = () => console.log('')"],
  ['noDefaultExport', 'src/a-default.ts', 'export default 1'],
  ['noEnum', 'src/an-enum.ts', 'export enum A { B }'],
  [
    'noExcessiveCognitiveComplexity',
    'src/a-knot.ts',
    `export function a(b: number) {${nested(5)}}`,
  ],
  ['noExcessiveLinesPerFile', 'src/a-file.ts', lines(251, (n) => `export const a${n} = ${n}`)],
  [
    'noExcessiveLinesPerFunction',
    'src/a-function.ts',
    `export function a() {\n${lines(51, (n) => `  f(${n})`)}\n}`,
  ],
  ['noExplicitAny', 'src/an-any.ts', 'export const a = (b: any) => b'],
  [
    'noFloatingPromises',
    'src/a-float.ts',
    "import { x } from './a-promise.ts'\nexport const a = () => { x() }",
  ],
  ['noImportCycles', 'src/an-egg.ts', "import { x } from './a-hen.ts'\nexport const a = () => x"],
  ['noImportCycles', 'src/a-hen.ts', "import { a } from './an-egg.ts'\nexport const x = () => a"],
  ['noJsRestrictedProperties', 'src/core/a-die.ts', 'export const a = Math.random()'],
  [
    'noMisusedPromises',
    'src/a-misuse.ts',
    "import { x } from './a-promise.ts'\nexport const a = () => { if (x()) throw new Error('a') }",
  ],
  ['noNonNullAssertion', 'src/a-bang.ts', 'export const a = (b?: string) => b!.length'],
  [
    'noParameterProperties',
    'src/a-class.ts',
    'export class A { constructor(readonly b: string) {} }',
  ],
  ['noForEach', 'src/a-loop.ts', 'export const a = (b: number[]) => b.forEach((c) => String(c))'],
  [
    'noFocusedTests',
    'test/a-focus.test.ts',
    "import { test } from 'vitest'\ntest.only('a', () => {})",
  ],
  [
    'noIdenticalTestTitle',
    'test/a-twin.test.ts',
    "import { test } from 'vitest'\ntest('a', () => {})\ntest('a', () => {})",
  ],
  ['noNamespace', 'src/a-namespace.ts', 'export declare namespace A { const b: number }'],
  [
    'noParameterAssign',
    'src/a-parameter.ts',
    'export const a = (b: number) => { b = 1; return b }',
  ],
  ['noReExportAll', 'src/index.ts', "export * from './errors.ts'"],
  [
    'noSkippedTests',
    'test/a-skip.test.ts',
    "import { test } from 'vitest'\ntest.skip('a', () => {})",
  ],
  ['noTsIgnore', 'src/an-ignore.ts', '// @ts-ignore\nexport const a: string = 1'],
  ['noUndeclaredDependencies', 'src/a-stranger.ts', "import x from 'left-pad'\nexport const a = x"],
  ['noUnusedExpressions', 'src/an-expression.ts', 'export const a = (b: number) => { b + 1 }'],
  ['noUnusedFunctionParameters', 'src/an-argument.ts', 'export const a = (b: number) => 1'],
  ['noUnusedImports', 'src/an-unused.ts', "import { x } from './errors.ts'"],
  ['noUnusedVariables', 'src/a-variable.ts', 'export const a = () => { const b = 1 }'],
  [
    'noUselessElse',
    'src/an-else.ts',
    'export function a(b: boolean) { if (b) { return 1 } else { return 2 } }',
  ],
  [
    'noUselessUndefinedInitialization',
    'src/an-undefined.ts',
    'export const a = () => { let b: number | undefined = undefined; b = 1; return b }',
  ],
  ['useConsistentArrayType', 'src/an-array.ts', 'export type A = Array<string>'],
  ['useConsistentTypeDefinitions', 'src/a-shape.ts', 'export type A = { b: string }'],
  [
    'useErrorCause',
    'src/a-catch.ts',
    "export const a = (b: () => void) => { try { b() } catch (error) { throw new Error('a') } }",
  ],
  ['useErrorMessage', 'src/an-error.ts', 'export const a = () => { throw new Error() }'],
  [
    'useExhaustiveSwitchCases',
    'src/a-switch.ts',
    "export function a(b: 'x' | 'y') { switch (b) { case 'x': return 1 } }",
  ],
  ['useExportType', 'src/an-export.ts', "import type { X } from './errors.ts'\nexport { X }"],
  ['useFilenamingConvention', 'src/aName.ts', 'export const a = 1'],
  [
    'useImportExtensions',
    'src/an-extension.ts',
    "import { x } from './a-promise'\nexport const a = x",
  ],
  ['useImportType', 'src/a-type.ts', "import { X } from './errors.ts'\nexport type A = X"],
  ['useNodejsImportProtocol', 'src/a-builtin.ts', "import x from 'fs'\nexport const a = x"],
  ['useThrowOnlyError', 'src/a-throw.ts', "export const a = () => { throw 'text' }"],
]

/** Sources that keep every rule. */
const clean: Readonly<Record<string, string>> = {
  'src/a-promise.ts': 'export async function x(): Promise<void> {}',
  'src/testing.ts': "export { x } from './duration.ts'",
  'src/a-full-function.ts': `import { f } from './errors.ts'\nexport function a() {\n${lines(50, (n) => `  f(${n})`)}\n}`,
  'src/a-full-file.ts': lines(250, (n) => `export const a${n} = ${n}`),
  'test/a-long.test.ts': lines(300, (n) => `export const a${n} = Date.now()`),
  'examples/a-talk.ts': "console.log('')",
  'a.config.ts': 'export default {}',
}

function lines(count: number, line: (number: number) => string): string {
  return Array.from({ length: count }, (_, index) => line(index)).join('\n')
}

function nested(depth: number): string {
  return depth === 0 ? 'return b' : `if (b > ${depth}) { ${nested(depth - 1)} } else { b++ }`
}

/** One import per line, each of them used. */
function importing(imports: readonly string[]): string {
  const lines = imports.map((text, index) => `import ${text.replace(' }', ` as i${index} }`)}`)
  const uses = imports.map((text, index) =>
    text.startsWith('type')
      ? `export type T${index} = i${index}`
      : `export const v${index} = i${index}`,
  )
  return [...lines, ...uses].join('\n')
}

describe('layers', () => {
  test('every import along the layers passes', async () => {
    const sources = Object.entries(layers).map(([path, { allowed }]) => [path, importing(allowed)])

    const findings = await lint(Object.fromEntries(sources))

    expect(findings).toEqual([])
  })

  test('every import against the layers is an error', async () => {
    const sources = Object.entries(layers).map(([path, { forbidden }]) => [
      path,
      importing(forbidden),
    ])

    const findings = await lint(Object.fromEntries(sources))

    const found = findings.filter(({ rule }) => rule === 'noRestrictedImports')
    const expected = Object.entries(layers).flatMap(([path, { forbidden }]) =>
      forbidden.map((text) => `${path} ${text}`),
    )
    expect(
      found.map(({ path, line }) => `${path} ${layers[path]?.forbidden[line - 1]}`).sort(),
    ).toEqual(expected.sort())
    expect(new Set(found.map(({ severity }) => severity))).toEqual(new Set(['error']))
  })

  test('every global that a layer may not touch is an error', async () => {
    const sources = Object.entries(globals).map(([path, uses]) => [
      path,
      lines(uses.length, (index) => `export const a${index} = () => ${uses[index]}`),
    ])

    const findings = await lint(Object.fromEntries(sources))

    const found = findings.filter(
      ({ rule, severity }) => rule === 'noRestrictedGlobals' && severity === 'error',
    )
    const expected = Object.entries(globals).flatMap(([path, uses]) =>
      uses.map((use) => `${path} ${use}`),
    )
    expect(found.map(({ path, line }) => `${path} ${globals[path]?.[line - 1]}`).sort()).toEqual(
      expected.sort(),
    )
  })
})

describe('craft', () => {
  test('every rule fires as an error on a source that breaks it', async () => {
    const sources = craft.map(([, path, source]) => [path, source])

    const findings = await lint({ ...clean, ...Object.fromEntries(sources) })

    const errors = findings.filter(({ severity }) => severity === 'error')
    const found = new Set(errors.map(({ rule, path }) => `${path} ${rule}`))
    expect(
      craft.map(([rule, path]) => `${path} ${rule}`).filter((breach) => !found.has(breach)),
    ).toEqual([])
  })

  test('sources that keep the rules pass', async () => {
    const findings = await lint(clean)

    expect(findings).toEqual([])
  })
})
