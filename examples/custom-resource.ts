/** A resource of your own: an approval that escalates when nobody answers in time. */

import { type CommandsOf, defineResource, isPawlError, now } from 'pawl'
import { createTestEngine } from 'pawl/testing'
import { assign, emit, setup } from 'xstate'
import { z } from 'zod'

const commands = {
  approve: z.strictObject({ by: z.string() }).describe('Says yes.'),
  reject: z.strictObject({ by: z.string(), reason: z.string() }).describe('Says no.'),
}

interface Context {
  readonly title: string
  readonly amount: number
  readonly decided_by: string | null
  readonly decided_at: string | null
}

const machine = setup({
  types: {
    context: {} as Context,
    input: {} as { title: string; amount: number },
    events: {} as CommandsOf<typeof commands>,
    emitted: {} as { type: `approval.${'requested' | 'escalated' | 'approved' | 'rejected'}` },
  },
  delays: { answer: 48 * 3_600_000 },
  guards: { is_small: ({ context }) => context.amount <= 1000 },
  actions: {
    decide: assign({
      decided_by: ({ event }) => event.by,
      decided_at: ({ self }) => now(self).toISOString(),
    }),
  },
}).createMachine({
  context: ({ input }) => ({ ...input, decided_by: null, decided_at: null }),
  initial: 'requested',
  states: {
    requested: {
      description: 'Waits for anybody to decide.',
      entry: emit({ type: 'approval.requested' }),
      after: { answer: 'escalated' },
      on: {
        approve: { guard: 'is_small', target: 'approved', actions: 'decide' },
        reject: { target: 'rejected', actions: 'decide' },
      },
    },
    escalated: {
      description: 'Waits for the board.',
      entry: emit({ type: 'approval.escalated' }),
      on: {
        approve: { target: 'approved', actions: 'decide' },
        reject: { target: 'rejected', actions: 'decide' },
      },
    },
    approved: { type: 'final', entry: emit({ type: 'approval.approved' }) },
    rejected: { type: 'final', entry: emit({ type: 'approval.rejected' }) },
  },
})

const approval = defineResource({
  type: 'approval',
  prefix: 'appr',
  input: z.strictObject({ title: z.string().min(1), amount: z.number().positive() }),
  commands,
  machine,
})

// In a backend this is createEngine({ database: 'app.db', resources: { approvals: approval } }).
const engine = await createTestEngine({ resources: { approvals: approval } })

const { resource } = await engine.approvals.create({ title: 'A new laptop', amount: 2400 })
const refused = await engine.approvals.trySend(resource.id, { type: 'approve', by: 'ada' })
if (!refused.ok && isPawlError(refused.error, 'illegal_transition')) {
  console.log(`${refused.error.reason}: ${refused.error.blockers.map(({ code }) => code).join()}`)
}

await engine.clock.advance('48h')
await engine.approvals.send(resource.id, { type: 'approve', by: 'the board' })

for await (const event of engine.events.list({ type: 'approval.*', order: 'asc' })) {
  console.log(event.created_at, event.type, event.data.decided_by ?? '')
}
await engine.close()
