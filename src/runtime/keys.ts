/** How are secrets encrypted, and requests told apart? @module */

import { createCipheriv, createDecipheriv, createHash, createHmac, randomBytes } from 'node:crypto'
import type { Keys } from '../context.ts'
import type { SecretPlace } from '../core/run.ts'
import { invalidInput, PawlError, withArticle } from '../errors.ts'
import type { Ids } from '../ids.ts'

// AES-256-GCM with the sizes that NIST SP 800-38D recommends.
const CIPHER = 'aes-256-gcm'
const KEY_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16

// An envelope: format, key id, nonce, tag, ciphertext.
const FORMAT = 1
const KEY_ID_BYTES = 8
const HEAD_BYTES = 1 + KEY_ID_BYTES + NONCE_BYTES + TAG_BYTES

// Bytes of a secret that the engine makes.
const GENERATED_BYTES = 32

/** An encryption key. */
export interface Key {
  readonly id: Buffer
  readonly secret: Buffer
}

/** Reads encryption keys, 32 bytes in base64 each. Throws `invalid_input`, without repeating a key. */
export function parseKeys(encryptionKeys: readonly string[]): readonly Key[] {
  return encryptionKeys.map(toKey)
}

/** Makes an encryption key for `createEngine`: 32 random bytes in base64. */
export function generateKey(): string {
  return randomBytes(KEY_BYTES).toString('base64')
}

/** Encrypts with the first of the keys, and decrypts with all. */
export function createKeys(keys: readonly Key[], ids: Ids): Keys {
  return {
    seal: (place, value) => seal(keys, ids, place, value),
    open: (place, envelope) => open(keys, place, envelope),
    generate: (prefix) => prefix + ids.bytes(GENERATED_BYTES).toString('base64'),
    hasKeys: keys.length > 0,
    fingerprints: (request, visible) => fingerprints(keys, request, visible),
    isCurrent: (envelope) => keys[0]?.id.equals(keyIdOf(envelope)) ?? false,
  }
}

function toKey(text: string, index: number): Key {
  // Buffer.from skips what is no base64: then a passphrase would pass for a key.
  const isBase64 = typeof text === 'string' && /^[\w+/-]+={0,2}$/.test(text)
  const secret = isBase64 ? Buffer.from(text, 'base64') : Buffer.alloc(0)
  if (secret.length !== KEY_BYTES) {
    const message = `has to be ${KEY_BYTES} bytes in base64; make one with generateKey()`
    throw invalidInput('the option encryptionKeys', [
      { path: ['encryptionKeys', index], code: 'invalid_key', message },
    ])
  }
  return { secret, id: createHash('sha256').update(secret).digest().subarray(0, KEY_ID_BYTES) }
}

function seal([key]: readonly Key[], ids: Ids, place: SecretPlace, value: unknown): Buffer {
  if (key === undefined) throw keyMissing(place)
  const nonce = ids.bytes(NONCE_BYTES)
  const cipher = createCipheriv(CIPHER, key.secret, nonce).setAAD(boundTo(place))
  const text = Buffer.concat([cipher.update(JSON.stringify(value), 'utf8'), cipher.final()])
  return Buffer.concat([Buffer.of(FORMAT), key.id, nonce, cipher.getAuthTag(), text])
}

function open(keys: readonly Key[], place: SecretPlace, envelope: Buffer): unknown {
  const id = keyIdOf(envelope)
  const key = keys.find((candidate) => candidate.id.equals(id))
  if (key === undefined || envelope[0] !== FORMAT || envelope.length < HEAD_BYTES)
    throw undecipherable(place)
  const nonce = envelope.subarray(1 + KEY_ID_BYTES, 1 + KEY_ID_BYTES + NONCE_BYTES)
  const tag = envelope.subarray(HEAD_BYTES - TAG_BYTES, HEAD_BYTES)
  try {
    const decipher = createDecipheriv(CIPHER, key.secret, nonce, { authTagLength: TAG_BYTES })
    decipher.setAAD(boundTo(place)).setAuthTag(tag)
    const text = Buffer.concat([decipher.update(envelope.subarray(HEAD_BYTES)), decipher.final()])
    return JSON.parse(text.toString('utf8'))
  } catch (cause) {
    throw undecipherable(place, cause)
  }
}

function keyIdOf(envelope: Buffer): Buffer {
  return envelope.subarray(1, 1 + KEY_ID_BYTES)
}

/** Ties a ciphertext to its row: moved to another one, it does not decrypt. */
function boundTo({ type, id, name }: SecretPlace): Buffer {
  return Buffer.from(JSON.stringify([type, id, name]))
}

function keyMissing({ type, name }: SecretPlace): PawlError<'encryption_key_missing'> {
  const message = `the secret "${name}" of ${withArticle(type)} needs an encryption key; give createEngine the option encryptionKeys`
  return new PawlError('encryption_key_missing', message, { resource_type: type, secret: name })
}

function undecipherable(
  { type, id, name }: SecretPlace,
  cause?: unknown,
): PawlError<'decryption_failed'> {
  const message = `the secret "${name}" of ${type} ${id} was encrypted with a key that is not among encryptionKeys, or has been altered`
  return new PawlError('decryption_failed', message, { resource_id: id, secret: name }, { cause })
}

/**
 * Keyed hashes, so that nobody can try out secrets against what is stored; each says which key it was made
 * with. The plain one comes last: it was stored if the engine had no key then.
 */
function fingerprints(
  keys: readonly Key[],
  request: string,
  visible: string,
): [string, ...string[]] {
  const plain = `plain.${createHash('sha256').update(visible).digest('base64url')}`
  const [first, ...others] = keys.map(({ id, secret }) => {
    const hash = createHmac('sha256', secret).update(request).digest('base64url')
    return `${id.toString('hex')}.${hash}`
  })
  return first === undefined ? [plain] : [first, ...others, plain]
}
