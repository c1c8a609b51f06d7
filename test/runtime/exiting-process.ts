import { createMachine } from 'xstate'
import { createEngine } from '../../src/index.ts'
import { withThings } from '../support/things.ts'

const machine = createMachine({ initial: 'a', states: { a: { after: { 3600000: 'b' } }, b: {} } })
const engine = await createEngine({ database: ':memory:', ...withThings(machine) })
await engine.start()
await engine.things.create({} as never)

// Nothing but this may end the process: a handle that is left would keep it alive for an hour.
if (process.argv[2] === 'stop') await engine.stop()
else await engine.close()
