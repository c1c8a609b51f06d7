/** A receiver of webhooks in a process of its own: it proves itself, and answers everything at once, or nothing. @module */

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** When each event has arrived, by its id; milliseconds since 1970. */
let arrivals: [string, number][] = []

const server = createServer((request, response) => {
  const at = performance.timeOrigin + performance.now()
  let body = ''
  request.setEncoding('utf8')
  request.on('data', (chunk: string) => {
    body += chunk
  })
  request.on('end', () => {
    const isChallenge = body.startsWith('{"type":"event_destination.verification"')
    if (isChallenge) return response.end(JSON.stringify({ challenge: JSON.parse(body).challenge }))
    if (request.url === '/dead') return response
    arrivals.push([String(request.headers['webhook-id']), at])
    return response.end()
  })
})
server.listen(0, '127.0.0.1', () => {
  process.send?.({ port: (server.address() as AddressInfo).port })
})
process.on('message', () => {
  process.send?.({ arrivals })
  arrivals = []
})
process.on('disconnect', () => process.exit())
