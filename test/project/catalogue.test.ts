/** Is the page about the built-in resources current, and does it hold all of them? @module */

import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { lifecycleOf, lifecycles } from '../support/lifecycles.ts'
import { catalogue, PAGE } from './catalogue.ts'

const page = readFileSync(PAGE, 'utf8')

const types = Object.keys(lifecycles.resources)

/** The text below a heading, up to the next one. */
function section(heading: string): string {
  const [, text = ''] = page.split(`\n${heading}\n`)
  return text.split(/^#{2,3} /m)[0] ?? ''
}

/** The cells of the first two columns of all tables in a text, without their marks. */
function rowsOf(text: string): [string, string][] {
  return [...text.matchAll(/^\| (.*?) \| (.*?) \|/gm)].map(([, first = '', second = '']) => [
    first.replaceAll('`', ''),
    second,
  ])
}

describe('machines/README.md', () => {
  test('is what `npm run docs` writes', () => {
    expect(page).toBe(catalogue())
  })

  test.each(types)('shows %s: its diagram, statuses, commands and timers', (type) => {
    const { statuses, commands, timers, property, prefix } = lifecycleOf(type)
    const text = section(`## ${type}`)
    const firsts = rowsOf(text).map(([first]) => first)

    expect(text).toMatch(/^```mermaid\nstateDiagram-v2\n {2}\[\*\] --> [\s\S]+?^```$/m)
    expect(text).toContain(`\`engine.${property}\``)
    expect(text).toContain(`\`${prefix}_…\``)
    expect(firsts.map((first) => first.replace(' *internal*', ''))).toEqual([
      ...['status', '---', ...Object.keys(statuses)],
      ...['command', '---', 'create', ...Object.keys(commands)],
      ...(timers.length === 0 ? [] : ['timer', '---', ...timers.map(({ name }) => name)]),
    ])
    expect(firsts.filter((first) => first.endsWith(' *internal*'))).toEqual(
      Object.keys(commands)
        .filter((name) => commands[name]?.internal)
        .map((name) => `${name} *internal*`),
    )
  })

  test.each(types)('says of each event of %s when it happens and what is in its data', (type) => {
    const { summary, create, transitions } = lifecycleOf(type)
    const rows = new Map(rowsOf(section(`### ${type} events`)))

    const events = lifecycles.events.filter((event) => event.startsWith(`${type}.`))
    const always = ['id', 'object', 'status', 'created_at', 'updated_at']
    expect([...rows.keys()].sort()).toEqual(
      [
        ...['event', '---', 'in data', ...events],
        ...summary.filter((field) => !always.includes(field)),
      ].sort(),
    )
    expect([...rows.values()].filter((text) => text === '')).toEqual([])
    for (const { from, command, event } of transitions.filter((row) => row.event !== null)) {
      const occasions = (rows.get(event ?? '') ?? '').split('; ')
      const found = occasions.find((occasion) => occasion.startsWith(`\`${command}\``))
      expect(found, `${event} by ${command}`).toMatch(new RegExp(`in (.*, )?${from}(,|$)`))
    }
    if (create.event !== null) expect(rows.get(create.event)).toMatch(/^`create`(;|$)/)
  })

  test('tells of 32 events', () => {
    const listed = types.flatMap((type) => rowsOf(section(`### ${type} events`)))

    const events = listed.map(([first]) => first).filter((first) => first.includes('.'))
    expect(events.sort()).toEqual([...lifecycles.events].sort())
    expect(events).toHaveLength(32)
  })
})
