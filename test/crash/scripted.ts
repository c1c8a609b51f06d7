/** What the process that goes through a script is told. */
export interface Scripted {
  readonly database: string
}
