import { playRounds } from './rounds.ts'

const [folder = '', seed = '0', rounds = '0'] = process.argv.slice(2)

const { refused, ...tally } = await playRounds(folder, Number(seed), Number(rounds))
process.stdout.write(JSON.stringify({ ...tally, refused: [...refused] }))
