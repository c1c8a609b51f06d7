import { defineResource } from '../../src/index.ts'

type Definition = Parameters<typeof defineResource>[0]

/** Defines a resource from parts that need not fit together, as a test may want. */
export function define(parts: object): ReturnType<typeof defineResource> {
  return defineResource(parts as unknown as Definition)
}
