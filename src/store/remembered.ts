/** Which transactions have not ended yet? @module */

import type { Transaction } from './store.ts'

/** Keeps a transaction in mind until it has ended. */
export function remembered(open: Set<Transaction>, transaction: Transaction): Transaction {
  open.add(transaction)
  const end = async (ending: () => Promise<void>): Promise<void> => {
    try {
      await ending()
    } finally {
      open.delete(transaction)
    }
  }
  const { commit, rollback } = transaction
  return {
    ...transaction,
    commit: () => end(commit),
    rollback: (reason) => end(() => rollback(reason)),
  }
}
