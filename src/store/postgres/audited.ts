/** Does a row hold what pawl writes? @module */

import type { Audited } from '../audit.ts'

/** A row: that a text is well-formed, a number is one and a truth value is 0 or 1, the server sees to. */
export function audited<Row>(row: Row): Audited<Row> {
  return { ...row, damaged: [] }
}
