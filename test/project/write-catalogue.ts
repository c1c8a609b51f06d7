/** Writes the page about the built-in resources anew. @module */

import { writeFileSync } from 'node:fs'
import { catalogue, PAGE } from './catalogue.ts'

writeFileSync(PAGE, catalogue())
