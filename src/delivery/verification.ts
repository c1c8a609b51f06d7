/** How does a destination prove that it wants events? @module */

import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { DueDestination } from '../store/deliveries.ts'
import { withinTime } from './attempt.ts'
import { type Addressee, sendOwn } from './commands.ts'
import type { Deliverer, Destination } from './deliverer.ts'
import { loadDestination } from './deliverer.ts'
import type { Call, Receipt, Target } from './destination-type.ts'
import type { Returned } from './exchange.ts'
import type { VerificationMethod } from './settings.ts'
import { receiptOf, signed, type WebhookConfig } from './webhook.ts'

// A lease lasts longer than a verification can: whoever is still at it then has died. One that cannot be made here is
// looked at again after as long as any may take.
const LEASE_MARGIN_MS = 5000
const LONGEST_MS = 300_000

/** A verification that has been taken on, and until when. */
export interface Taken extends DueDestination {
  readonly until: number
}

/** Takes on verifications that are due, so many at most. */
export async function takeVerifications(
  deliverer: Deliverer,
  now: number,
  most: number,
): Promise<readonly Taken[]> {
  const { store } = deliverer.context
  const due = await store.unverifiedDestinations(now, most)
  const taken: Taken[] = []
  for (const one of due) {
    const { settings } = (await loadDestination(deliverer, one.id)) ?? {}
    const until = now + (settings?.timeout ?? LONGEST_MS) + LEASE_MARGIN_MS
    if (await store.moveVerification(one.position, one.at, until)) taken.push({ ...one, until })
  }
  return taken
}

/** Verifies what has been taken on; one that is given up is due again at once. */
export async function verifyTaken(
  deliverer: Deliverer,
  { position, id, at, until }: Taken,
  stopping: AbortSignal,
): Promise<void> {
  const verified = await verifyDestination(deliverer, id, stopping)
  // Whoever can make it has to wait for the lease to run out.
  if (verified === 'elsewhere') return
  await deliverer.context.store.moveVerification(position, until, verified === 'over' ? null : at)
}

/** What has come of a verification: `again` when it was given up, `elsewhere` when only others can make it. */
type Verified = 'over' | 'again' | 'elsewhere'

/** Asks a destination for its proof, and activates it, or notes why not. */
export async function verifyDestination(
  deliverer: Deliverer,
  id: string,
  stopping: AbortSignal,
): Promise<Verified> {
  const destination = await loadDestination(deliverer, id)
  if (destination === undefined) return 'elsewhere'
  const { status, settings } = destination
  if (status !== 'pending_verification' || settings.verification === 'manual') return 'over'
  const now = deliverer.context.clock.now()
  const timed = await withinTime(settings.timeout, stopping, (signal, timeout) =>
    prove(deliverer, destination, destination.target(now.getTime()), {
      ...{ at: now, attempt: 1, timeout, signal, addressOf: deliverer.addressOf },
    }),
  )
  // Where the destination has changed meanwhile, it has to prove itself anew.
  const isOver = timed !== null && (await conclude(deliverer, destination, timed.receipt))
  return isOver ? 'over' : 'again'
}

/** What has been proven of a version holds for that version only. */
function conclude(
  { context }: Deliverer,
  { id, tenant, version }: Destination,
  receipt: Receipt,
): Promise<boolean> {
  const addressee: Addressee = { id, tenant, version }
  const command = receipt.ok
    ? { type: 'activate' }
    : { type: 'fail_verification', error: receipt.error }
  return sendOwn(context, addressee, command)
}

function prove(
  deliverer: Deliverer,
  destination: Destination,
  target: Target,
  call: Call,
): Promise<Receipt> {
  const { type, settings } = destination
  if (type.type !== 'webhook') return type.verify?.(target, call) ?? Promise.resolve({ ok: true })
  const proof = PROOFS[settings.verification as keyof typeof PROOFS]
  return proof(deliverer, target as Target<unknown> as Target<WebhookConfig>, call)
}

type Proof = (deliverer: Deliverer, target: Target<WebhookConfig>, call: Call) => Promise<Receipt>

const PROOFS: Readonly<Record<Exclude<VerificationMethod, 'manual'>, Proof>> = {
  challenge,
  handshake,
  ping,
}

// How long an answer to a challenge counts: longer than any attempt may take.
const CHALLENGE_MS = 600_000

/** A nonce, bound to what it is to prove: nobody can have got it elsewhere. */
async function challenge(
  { context, requests }: Deliverer,
  target: Target<WebhookConfig>,
  call: Call,
): Promise<Receipt> {
  const nonce = newNonce()
  const expiry = call.at.getTime() + CHALLENGE_MS
  const sent = `${nonce}.${expiry}.${bound(target, nonce, expiry)}`
  const body = JSON.stringify({ type: 'event_destination.verification', challenge: sent })
  const returned = await requests.send(signed({ id: `challenge_${nonce}`, body }, target, call))
  const receipt = receiptOf(returned, call)
  if (!receipt.ok || 'failure' in returned) return receipt
  const isProven = isBack(returned, sent) && expiry > context.clock.now().getTime()
  return isProven ? receipt : { ...receipt, ok: false, error: NOT_PROVEN }
}

// Not from the engine's ids: those may not depend on who is verified when.
function newNonce(): string {
  return randomBytes(16).toString('base64url')
}

const NOT_PROVEN =
  'challenge_not_returned: the answer has to be JSON with the challenge that was sent, {"challenge":"…"}'

function bound({ id, config, keys }: Target<WebhookConfig>, nonce: string, expiry: number): string {
  const [key = Buffer.alloc(0)] = keys
  return createHmac('sha256', key)
    .update(JSON.stringify([id, config.url, nonce, expiry]))
    .digest('base64url')
}

function isBack(returned: Exclude<Returned, { readonly failure: unknown }>, sent: string): boolean {
  try {
    const { challenge } = JSON.parse(returned.body.toString()) as { readonly challenge?: unknown }
    if (typeof challenge !== 'string') return false
    const [given, expected] = [Buffer.from(challenge), Buffer.from(sent)]
    return given.length === expected.length && timingSafeEqual(given, expected)
  } catch {
    return false
  }
}

// Who asks: a name that says nothing about the machine.
const ORIGIN = 'pawl'

/** The handshake of CloudEvents: a request for permission, with OPTIONS. */
async function handshake(
  { requests }: Deliverer,
  { config }: Target<WebhookConfig>,
  call: Call,
): Promise<Receipt> {
  const returned = await requests.send({
    method: 'OPTIONS',
    url: config.url,
    headers: { ...config.custom_headers, 'webhook-request-origin': ORIGIN },
    ...{ body: null, signal: call.signal },
  })
  const receipt = receiptOf(returned, call)
  if (!receipt.ok || 'failure' in returned) return receipt
  const allowed = returned.headers['webhook-allowed-origin']
  if (allowed === '*' || allowed === ORIGIN) return receipt
  const error = `origin_not_allowed: the answer has to have the header webhook-allowed-origin: ${ORIGIN}`
  return { ...receipt, ok: false, error }
}

/** A signed message that has to be accepted. */
async function ping(
  { requests }: Deliverer,
  target: Target<WebhookConfig>,
  call: Call,
): Promise<Receipt> {
  const id = `ping_${newNonce()}`
  const body = JSON.stringify({ type: 'event_destination.ping' })
  return receiptOf(await requests.send(signed({ id, body }, target, call)), call)
}
