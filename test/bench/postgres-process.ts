/** An engine on PostgreSQL in a process of its own, beside another one. @module */

import { runBeside } from './postgres.ts'

await runBeside(process.argv[2] ?? '')
process.disconnect()
