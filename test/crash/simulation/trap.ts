/** Where a fault waits for the statement that it is to happen at. */

import type { Fault } from './script.ts'

/** The hand on the driver of an engine. */
export interface Faults {
  arm(fault: Fault | undefined): void
  /** Lets everything pass again; tells whether the fault has happened. */
  disarm(): boolean
}

export interface Trap extends Faults {
  /** Counts a statement; gives the fault that is to happen at it. */
  spring(stage: Fault['at']): Fault | undefined
}

export function createTrap(): Trap {
  let armed: Fault | undefined
  let passed = 0
  let happened = false
  return {
    arm: (fault) => {
      armed = fault
      passed = 0
      happened = false
    },
    disarm: () => {
      armed = undefined
      return happened
    },
    spring: (stage) => {
      const fault = armed
      if (fault?.at !== stage || ++passed < fault.nth) return undefined
      armed = undefined
      happened = true
      return fault
    },
  }
}
