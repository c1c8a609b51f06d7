import fc from 'fast-check'

/** A value made anew for each use, with a name for those who read of a failure. */
export interface Hostile {
  readonly name: string
  make(): unknown
}

const KEYS = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'valueOf']
  .concat(['then', 'toJSON', 'length', 'type', 'id', '', '0', '-1', '*', '$', 'a.b', 'a"b'])
  .concat(['status', 'object', 'version', 'input', 'context', 'value', '\u0000', '\ufeff'])

const TEXTS = [
  ...[
    '\u0000',
    'a\u0000b',
    '\u202eabc',
    '\u2028\u2029',
    '\ufeff',
    '\u0085',
    '\uffff',
    '\u{10ffff}',
  ],
  ...['é', 'é'.normalize('NFD'), 'Å', '\u212b', 'ﬁ', '👩‍👩‍👧‍👦', ' ', '\t\r\n', '\\', '"', "'"],
  ...["'; drop table pawl_events; --", "' or '1'='1", '%', '_', '$1', ':id', '?', '{"a":1}'],
  ...['null', 'undefined', 'NaN', '-0', '1e400', 'true', '[object Object]', 'xstate.init'],
  ...['xstate.done.state.box', '*', 'task.*', 'evt_', 'agt_', '../../etc/passwd', '</script>'],
  ...['2026-02-30', '2026-01-01T00:00:00Z', '+275760-09-13T00:00:00.001Z', 'now', 'start', '10m'],
  ...['1e9d', '99999999999999999999d', '-5s', '٣s', 'x'.repeat(256), 'x'.repeat(255)],
]

/** Any sixteen-bit units in a row, so that surrogates stand alone as well. */
const units = fc
  .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 6 })
  .map((codes) => String.fromCharCode(...codes))

const torn = fc
  .tuple(fc.constantFrom('\ud800', '\udc00', '\udc00\ud800'), fc.string({ unit: 'grapheme' }))
  .map(([surrogate, text]) => `${text}${surrogate}${text}`)

/** Texts of all kinds. */
export const text: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(...TEXTS),
  fc.constantFrom(...KEYS),
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'grapheme' }),
  units,
  torn,
)

const number = fc.oneof(
  fc.double(),
  fc.integer(),
  fc.constantFrom(0, -0, 1, -1, 0.1, Number.NaN, Number.POSITIVE_INFINITY, Number.MIN_VALUE),
  fc.constantFrom(
    2 ** 53,
    2 ** 53 - 1,
    -(2 ** 53),
    Number.MAX_VALUE,
    8.64e15,
    8.64e15 + 1,
    2 ** 31,
  ),
)

/** Makes an object whose every key, `__proto__` too, is its own. */
function ownEntries(entries: readonly (readonly [string, unknown])[]): object {
  const value = {}
  for (const [key, item] of entries) {
    const data = { value: item, enumerable: true, writable: true, configurable: true }
    Object.defineProperty(value, key, data)
  }
  return value
}

function treeOf(texts: fc.Arbitrary<string>, numbers: fc.Arbitrary<number>): fc.Arbitrary<unknown> {
  return fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      texts,
      numbers,
      fc.constantFrom(null, true, false),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.array(fc.tuple(texts, tie('value')), { maxLength: 4 }).map(ownEntries),
    ),
  })).value
}

/** What JSON can carry. */
const carried = treeOf(
  text.filter((each) => each.isWellFormed()),
  number.map((each) => (Number.isFinite(each) ? each : 1)),
)

/** The same with texts and numbers that it cannot. */
const uncarried = treeOf(text, number)

function nest(depth: number): unknown {
  let value: unknown = 1
  for (let level = 0; level < depth; level++) value = level % 2 ? [value] : { a: value }
  return value
}

function cycle(): unknown {
  const value: Record<string, unknown> = { a: {} }
  value.a = [{ b: value }]
  return value
}

function shared(): unknown {
  const part = { n: [1] }
  return { a: part, b: part, c: [part, part] }
}

/** Doubles with every level: small in memory, long as a text, and not quite endless, so that a test can end. */
function doubling(): unknown {
  let value: unknown = 'x'
  for (let level = 0; level < 22; level++) value = [value, value]
  return value
}

function sparse(): unknown {
  const value: unknown[] = [1]
  value[3] = 4
  return value
}

function revoked(target: object): unknown {
  const { proxy, revoke } = Proxy.revocable(target, {})
  revoke()
  return proxy
}

function explode(): never {
  throw new Error('read at your own risk')
}

class Instance {
  readonly a = 1
}

const explodingTraps = { get: explode, ownKeys: explode, getPrototypeOf: explode, has: explode }

// Made once: they take longer to make than a call may take.
const longText = 'é'.repeat(10_000_000)
const longList = Array.from({ length: 1_000_000 }, (_, index) => index)
const deepArray = nest(10_000)
const wideObject = Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`k${i}`, i]))

const ODDITIES: Readonly<Record<string, () => unknown>> = {
  undefined: () => undefined,
  '10,000 levels': () => deepArray,
  '64 levels': () => nest(64),
  '63 levels': () => nest(63),
  '65 levels': () => nest(65),
  'a text of 10 MB': () => longText,
  'a key of 10 MB': () => ({ [longText]: 1 }),
  'a list of a million': () => longList,
  'an object of 100,000 keys': () => wideObject,
  'a list that is long and empty': () => Object.assign([], { length: 3_000_000 }),
  'a list that claims to be long': () =>
    new Proxy([], { get: (_, key) => (key === 'length' ? 3_000_000 : undefined) }),
  'a cycle': cycle,
  'shared parts': shared,
  'doubling parts': doubling,
  'a sparse list': sparse,
  'a list with a property': () => Object.assign([1, 2], { extra: 3 }),
  'a BigInt': () => 10n,
  'a symbol': () => Symbol('s'),
  'a symbol key': () => ({ [Symbol('s')]: 1, a: 2 }),
  'a hidden property': () => Object.defineProperty({ a: 1 }, 'b', { value: 2 }),
  'a function': () => () => 1,
  'a Date': () => new Date(0),
  'an invalid Date': () => new Date(Number.NaN),
  'a Map': () => new Map([['a', 1]]),
  'a Set': () => new Set([1]),
  'a RegExp': () => /a/g,
  'an Error': () => new Error('x'),
  'a promise': () => Promise.resolve(1),
  'a Buffer': () => Buffer.from('abc'),
  'a boxed text': () => Object('abc'),
  'a boxed number': () => Object(1),
  'a class instance': () => new Instance(),
  'an object without prototype': () => Object.assign(Object.create(null), { a: 1 }),
  'an object that inherits': () => Object.create({ inherited: 1 }),
  'an object that inherits from nothing much': () =>
    Object.assign(Object.create(Object.assign(Object.create(null), { inherited: 1 })), { a: 1 }),
  'a frozen object': () => Object.freeze({ a: Object.freeze([1]) }),
  'a getter': () => Object.defineProperty({}, 'a', { enumerable: true, get: () => 'got' }),
  'a getter that throws': () => Object.defineProperty({}, 'a', { enumerable: true, get: explode }),
  'an object that makes its own JSON': () => ({ a: 1, toJSON: () => 'other' }),
  'an object that throws as a text': () => ({ toString: explode, valueOf: explode }),
  'a plain proxy': () => new Proxy({ a: 1 }, {}),
  'a proxy of a list': () => new Proxy([1, 2], {}),
  'a proxy that throws': () => new Proxy({}, explodingTraps),
  'a revoked proxy': () => revoked({}),
  'a revoked proxy of a list': () => revoked([]),
  'its own prototypes': () => JSON.parse('{"__proto__":{"polluted":1},"constructor":{"a":1}}'),
  'a list of holes': () => new Array(5),
  'a thenable': () => Object.fromEntries([['then', explode]]),
}

/** What JSON cannot carry, or what it is hard to carry. */
const oddity: fc.Arbitrary<Hostile> = fc
  .constantFrom(...Object.keys(ODDITIES))
  .map((name) => ({ name, make: () => ODDITIES[name]?.() }))

function plain(value: unknown): Hostile {
  return { name: fc.stringify(value).slice(0, 300), make: () => value }
}

/** An oddity somewhere within what is harmless. */
const within: fc.Arbitrary<Hostile> = fc
  .tuple(oddity, fc.array(fc.option(text), { minLength: 1, maxLength: 3 }))
  .map(([inner, path]) => ({
    name: `${inner.name} within ${fc.stringify(path)}`,
    make: () =>
      path.reduce(
        (value: unknown, key) => (key === null ? [value] : ownEntries([[key, value]])),
        inner.make(),
      ),
  }))

/** Anything at all. */
export const hostile: fc.Arbitrary<Hostile> = fc.oneof(
  { weight: 8, arbitrary: carried.map(plain) },
  { weight: 2, arbitrary: uncarried.map(plain) },
  { weight: 3, arbitrary: oddity },
  { weight: 2, arbitrary: within },
)

/** Anything, under some of these names or names of its own; for options and filters. */
export function fieldsOf(names: readonly string[]): fc.Arbitrary<Hostile> {
  const key = fc.oneof(
    { weight: 9, arbitrary: fc.constantFrom(...names) },
    { weight: 1, arbitrary: text },
  )
  const some = fc.array(fc.tuple(key, hostile), { minLength: 1, maxLength: 3 }).map((fields) => ({
    name: fields.map(([name, { name: value }]) => `${JSON.stringify(name)}: ${value}`).join(', '),
    make: () => ownEntries(fields.map(([name, { make }]) => [name, make()])),
  }))
  return fc.oneof({ weight: 8, arbitrary: some }, { weight: 1, arbitrary: hostile })
}

/** A text of any kind, in place of a value. */
export const textual: fc.Arbitrary<Hostile> = text.map((value) => ({
  name: JSON.stringify(value),
  make: () => value,
}))

/** A text that was good, with some of its characters changed. */
export function mutated(good: string, places: readonly number[], by: string): string {
  const characters = [...good]
  for (const place of places) characters[place % (characters.length + 1)] = by
  return characters.join('')
}
