/** A sender and a receiver of webhooks: verified, signed, tried again, and accounted for. */

import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createEngine, generateKey } from 'pawl'
import { verifyWebhook } from 'pawl/webhooks'

// The receiver knows the secret, proves itself when it is asked, and fails once.
let secret = ''
let failures = 1
const receiver = createServer(async (request, response) => {
  let body = ''
  for await (const chunk of request) body += chunk
  const { headers } = request
  const received = verifyWebhook({ body, headers, secrets: secret })
  if (received.object !== 'event')
    return response.end(JSON.stringify({ challenge: received.challenge }))
  if (failures-- > 0) return response.writeHead(503).end('not now')
  console.log('received', received.type)
  if (received.type === 'session.running') receiver.emit('done')
  return response.end()
})
await once(receiver.listen(0, '127.0.0.1'), 'listening')
const { port } = receiver.address() as AddressInfo

// The sender: requests go to public addresses only, unless others are allowed.
const engine = await createEngine({
  database: ':memory:',
  encryptionKeys: [generateKey()],
  delivery: { allowPrivate: ['127.0.0.0/8'], retries: ['50ms', '5s', '5m'] },
})
const { resource: destination, secrets } = await engine.eventDestinations.create({
  name: 'Receiver',
  webhook: { url: `http://127.0.0.1:${port}/hooks` },
  events: ['session.*'],
})
secret = secrets?.secret ?? ''
console.log('verified', (await engine.deliveries.verify(destination.id)).status)

// From now on, whatever happens to sessions arrives; of each session in order, so that one that fails holds up the next.
const done = once(receiver, 'done')
await engine.start()
const { resource: session } = await engine.sessions.create()
await engine.sessions.send(session.id, { type: 'start' })
await done
await engine.stop()

for await (const { id } of engine.deliveries.list({ order: 'asc' })) {
  const { event_type, status, attempt_log } = await engine.deliveries.get(id)
  console.log(status, event_type, attempt_log.map((attempt) => attempt.status_code).join(', '))
}
await engine.close()
receiver.close()
