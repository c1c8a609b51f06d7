import { describe, expect, test } from 'vitest'
import { mismatches, schemaIssues } from '../../machines/json-schema.ts'

const LATEST = 'https://json-schema.org/draft/2020-12/schema'
const EARLIER = 'https://json-schema.org/draft/2019-09/schema'
const SEVENTH = 'http://json-schema.org/draft-07/schema'

const unusable = (message: string, path: readonly string[] = []) => [
  { path, code: 'schema_unusable', message },
]

describe('a schema that can be used', () => {
  test.each<[string, unknown]>([
    ['true', true],
    ['false', false],
    ['an empty one', {}],
    ['one of the latest draft', { $schema: LATEST, prefixItems: [{ type: 'string' }] }],
    ['one of the draft before', { $schema: EARLIER, dependentRequired: { a: ['b'] } }],
    ['one of draft 7', { $schema: SEVENTH, items: [{ type: 'string' }] }],
    ['one whose draft is written with a hash', { $schema: `${SEVENTH}#` }],
    ['one that refers to its own parts', { $defs: { a: { type: 'string' } }, $ref: '#/$defs/a' }],
  ])('%s', (_, schema) => {
    expect(schemaIssues(schema)).toEqual([])
  })

  test('with the same $id as another one is another one', () => {
    const [text, number] = ['string', 'number'].map((type) => ({
      $id: 'https://a.example/s',
      type,
    }))
    expect(mismatches(text, 'a', [])).toEqual([])
    expect(mismatches(number, 'a', [])).toHaveLength(1)
  })
})

describe('a schema that cannot be used', () => {
  test.each<[string, unknown, readonly object[]]>([
    ['null', null, unusable('must be an object or a boolean')],
    ['undefined', undefined, unusable('must be an object or a boolean')],
    ['a list', [], unusable('must be an object or a boolean')],
    ['a text', 'object', unusable('must be an object or a boolean')],
    [
      'one of a draft that nobody knows',
      { $schema: 'https://a.example/draft' },
      unusable(`must be one of ${LATEST}, ${EARLIER}, ${SEVENTH}`, ['$schema']),
    ],
    [
      'one whose draft has a hash in the middle',
      { $schema: SEVENTH.replace('draft-07', '#draft-07') },
      unusable(`must be one of ${LATEST}, ${EARLIER}, ${SEVENTH}`, ['$schema']),
    ],
    [
      'one that speaks of the prototype',
      { properties: JSON.parse('{"__proto__":{"type":"string"}}') },
      unusable('cannot speak of a property "__proto__"'),
    ],
    ['an asynchronous one', { $async: true }, unusable('cannot be asynchronous')],
    [
      'one that refers to nothing but itself',
      { $ref: '#' },
      unusable('the schema cannot be used: it refers to itself without end'),
    ],
    [
      'one that refers to what is not there',
      { $ref: '#/$defs/missing' },
      unusable(`the schema cannot be used: can't resolve reference #/$defs/missing from id #`),
    ],
  ])('%s', (_, schema, issues) => {
    expect(schemaIssues(schema)).toEqual(issues)
    expect(schemaIssues(schema)).toEqual(issues)
  })

  test('says where it is wrong', () => {
    const schema = { properties: { 'a/b~c': { type: 'strange' } } }
    expect(schemaIssues(schema)[0]).toMatchObject({
      path: ['properties', 'a/b~c', 'type'],
      code: 'enum',
    })
  })

  test('says the same of any value', () => {
    expect(mismatches({ $async: true }, 1, ['input'])).toEqual(
      unusable('cannot be asynchronous', ['input']),
    )
  })

  test('with some values only says so for these', () => {
    const schema = { if: { type: ['string', 'null'] }, else: { $ref: '#' } }
    expect(schemaIssues(schema)).toEqual([])
    expect(mismatches(schema, 'text', [])).toEqual([])
    expect(mismatches(schema, 1, ['input'])).toEqual(
      unusable('the schema cannot be used: it refers to itself without end', ['input']),
    )
  })
})

describe('a value that does not match', () => {
  test.each<[string, unknown, unknown, readonly (string | number)[], string]>([
    ['at its root', { type: 'string' }, 1, [], 'type'],
    ['in a list', { items: { type: 'string' } }, ['a', 1], [1], 'type'],
    [
      'in a list in an object',
      { properties: { '1': { items: { type: 'string' } } } },
      { '1': ['a', 1] },
      ['1', 1],
      'type',
    ],
    ['by what is missing', { required: ['a'] }, {}, ['a'], 'required'],
    ['by a name that all objects have', { required: ['toString'] }, {}, ['toString'], 'required'],
    [
      'by what is too much',
      { additionalProperties: false },
      { b: 1 },
      ['b'],
      'additionalProperties',
    ],
    [
      'by what nobody speaks of',
      { unevaluatedProperties: false },
      { c: 1 },
      ['c'],
      'unevaluatedProperties',
    ],
    ['by a name', { propertyNames: { maxLength: 1 } }, { long: 1 }, ['long'], 'propertyNames'],
    ['whatever it is', false, 1, [], 'false schema'],
  ])('%s', (_, schema, value, path, code) => {
    const found = mismatches(schema, value, ['output'])
    expect(found.at(-1)).toMatchObject({ path: ['output', ...path], code })
    expect(found.every(({ message }) => message.length > 5)).toBe(true)
  })

  test('has all of its defects told', () => {
    const schema = { required: ['a', 'b'], properties: { c: { type: 'string' } } }
    expect(mismatches(schema, { c: 1 }, []).map(({ path }) => path)).toEqual([['a'], ['b'], ['c']])
  })

  test('only by its format matches', () => {
    expect(mismatches({ format: 'email' }, 'no address', [])).toEqual([])
  })
})

test('more schemas than are kept in mind are judged all the same', () => {
  const schemas = Array.from({ length: 600 }, (_, n) => ({ const: n }))
  for (const schema of [...schemas, ...schemas])
    expect(mismatches(schema, schema.const, [])).toEqual([])
})
