import { agentPlatform } from '../../machines/index.ts'
import { createEngine, isPawlError } from '../../src/index.ts'
import type { Order, Report, Written } from './processes.ts'

const [database = '', number = '0'] = process.argv.slice(2)
const resources = agentPlatform({ timeouts: { session_provisioning: 300 } })
const engine = await createEngine({ database, resources })

function tell(report: Report): void {
  process.send?.(report)
}

/** Eight callers, each sending 20 commands to the shared tasks. */
async function write(ids: readonly string[]): Promise<Written[]> {
  const callers = Array.from({ length: 8 }, (_, caller) => call(ids, caller))
  return (await Promise.all(callers)).flat()
}

async function call(ids: readonly string[], caller: number): Promise<Written[]> {
  const written: Written[] = []
  for (let i = 0; i < 20; i++) {
    const id = ids[(caller + i * Number(number)) % ids.length] ?? ''
    const type = (caller + i) % 2 === 0 ? 'promote' : 'demote'
    try {
      const { resource, changed } = await engine.tasks.send(id, { type })
      if (changed) written.push({ id, version: resource.version })
    } catch (error) {
      if (!isPawlError(error, 'illegal_transition')) throw error
    }
  }
  return written
}

async function obey(order: Order): Promise<void> {
  if (order.do === 'write') return tell({ is: 'written', written: await write(order.ids) })
  if (order.do === 'timers') {
    await engine.start()
    return tell({ is: 'ready' })
  }
  await engine.close()
  process.disconnect()
}

process.on('message', (order: Order) => {
  obey(order).catch((error: Error) => tell({ is: 'failed', message: String(error.stack) }))
})
tell({ is: 'ready' })
