import type { DeliveryOptions } from '../../src/index.ts'

/** Lets every name lead nowhere. */
const lookup: NonNullable<DeliveryOptions['lookup']> = (name, _, callback) => {
  process.nextTick(callback, new Error(`${name} is not to be asked for`), [])
}

/** For engines that are not about delivery: nothing leaves them, and what cannot be delivered changes nothing. */
export const OFFLINE: DeliveryOptions = {
  verification: 'manual',
  // A destination that is reactivated tries at once what waits.
  retries: Array(100).fill('36500d'),
  lookup,
}
