/** Which texts can PostgreSQL keep? @module */

/** What somebody else has said, as PostgreSQL can keep it: it has no NUL. */
export function keepable(said: string): string {
  return said.replaceAll('\0', '\uFFFD')
}
