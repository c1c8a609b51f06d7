/** How are deliveries found that are still to be made? @module */

import { type SqlBool, sql } from 'kysely'

// As they stand in the conditions of the indexes: SQLite does not look for a bound value there.
export const OPEN = sql<SqlBool>`open = 1`
export const READY = sql<SqlBool>`ready = 1`
