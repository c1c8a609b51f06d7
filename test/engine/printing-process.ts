import { Console } from 'node:console'
import { createTestEngine } from '../../src/testing.ts'
import type { AnyTestEngine } from '../support/engine.ts'
import { live, type Texts } from '../support/secret-life.ts'

const texts = JSON.parse(process.env.CANARIES ?? '') as Texts
const console = new Console(process.stdout, process.stderr)
const onError = (error: unknown) => console.error(error)
const engine = await createTestEngine({ onError })

/** Prints a value in every way in which applications do. */
function print(value: unknown): void {
  console.log(value)
  console.log('%o', value)
  console.error(value)
  console.error(String(value))
}

const { generated } = await live(engine as unknown as AnyTestEngine, texts, print)
process.send?.(generated)
await new Promise<void>((resolve) => void process.once('message', () => resolve()))

// What nobody catches is printed by Node itself, which then ends the process.
const auth_credentials = { username: 5 as unknown as string, password: texts.password }
await engine.credentials.create({
  ...{ source_id: 'src_none', auth_method: 'username_password' as const },
  auth_credentials,
})
