/** How does an agent live? @module */

import { assign, emit, setup } from 'xstate'
import { z } from 'zod'
import { type CommandsOf, defineResource } from '../src/resource.ts'
import { strictObject } from '../src/strict-object.ts'
import { name, nothing } from './schemas.ts'

const input = strictObject({ name, description: z.string().nullable().default(null) }).describe(
  'Creates an agent.',
)

const commands = {
  update: strictObject({ name, description: z.string().nullable() })
    .exactPartial()
    .describe('Changes the fields that are given.'),
  delete: nothing.describe('Deletes the agent for good.'),
}

type Context = z.infer<typeof input>

const machine = setup({
  types: {
    context: {} as Context,
    input: {} as Context,
    events: {} as CommandsOf<typeof commands>,
    emitted: {} as { type: `agent.${'created' | 'updated' | 'deleted'}` },
  },
}).createMachine({
  context: ({ input }) => input,
  initial: 'active',
  states: {
    active: {
      description: 'Tasks can be added to the agent.',
      entry: emit({ type: 'agent.created' }),
      on: {
        update: {
          actions: [
            assign(({ event: { type, ...changes } }) => changes),
            emit({ type: 'agent.updated' }),
          ],
        },
        delete: 'deleted',
      },
    },
    deleted: {
      type: 'final',
      description: 'The agent is gone.',
      entry: emit({ type: 'agent.deleted' }),
    },
  },
})

/** Groups the tasks of one use case. */
export const agent = defineResource({
  type: 'agent',
  prefix: 'agt',
  input,
  commands,
  machine,
  summary: ['name', 'description'],
})
