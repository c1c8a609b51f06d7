/** Is a text the address of a server, where the path of a file is asked for? @module */

/** Whether a text is how one connects to PostgreSQL; there may be a password in it. */
export function isServerAddress(text: string): boolean {
  return /^\s*postgres(?:ql)?:/i.test(text)
}
