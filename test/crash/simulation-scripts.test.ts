import { describe } from 'vitest'
import { openSqliteGround } from './simulation/sqlite-ground.ts'
import { testStoredScripts } from './simulation/stored-scripts.ts'

describe('a script that has caught a defect before', () => testStoredScripts(openSqliteGround))
