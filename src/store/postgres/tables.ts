/** How does a PostgreSQL database get its tables? Append only: a migration that has been released never changes. @module */

import { type Kysely, type Migration, sql } from 'kysely'

/** All migrations, by name, in order. They run with pawl's schema as the only one on the search path. */
export const migrations: Readonly<Record<string, Migration>> = {
  '0001_initial': {
    async up(db) {
      for (const create of [RESOURCES, EVENTS, LOG, BELONGINGS, OUTCOMES, CONSUMERS, DELIVERIES])
        await run(db, create)
    },
  },
}

/** One statement after the other. */
async function run(db: Kysely<unknown>, statements: readonly string[]): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db)
}

// Ids and names sort by their bytes, as they do in SQLite: an id begins with its time.
const TEXT = 'text collate "C"'

const RESOURCES = [
  `create table pawl_resources (
    position bigint not null unique,
    id ${TEXT} primary key check (length(id) between 1 and 255),
    tenant ${TEXT} not null check (length(tenant) between 1 and 255),
    type ${TEXT} not null,
    status ${TEXT} not null,
    version bigint not null check (version >= 1),
    final smallint not null check (final in (0, 1)),
    value text not null,
    memory text,
    context text not null,
    machine ${TEXT} not null,
    created_at bigint not null,
    updated_at bigint not null check (updated_at >= created_at),
    status_since bigint not null check (status_since between created_at and updated_at),
    head bytea check (length(head) = 32),
    latest bigint not null check (latest >= 0),
    entries bigint not null check (entries >= 0)
  ) with (fillfactor = 80)`,
  'create index pawl_resources_by_status on pawl_resources (tenant, type, status, position)',
  'create index pawl_resources_by_type on pawl_resources (type, tenant, position)',
]

const EVENTS = [
  `create table pawl_events (
    seq bigint primary key check (seq >= 1),
    id ${TEXT} not null unique check (length(id) between 1 and 255),
    tenant ${TEXT} not null,
    type ${TEXT} not null,
    internal smallint not null check (internal in (0, 1)),
    resource_id ${TEXT} not null references pawl_resources (id),
    resource_version bigint not null check (resource_version >= 1),
    data text not null,
    previous_status ${TEXT},
    previous_ms bigint check (previous_ms >= 0),
    command text,
    change text,
    cause text not null,
    actor text,
    correlation_id ${TEXT} not null,
    causation_id ${TEXT},
    created_at bigint not null,
    hash bytea not null check (length(hash) = 32),
    ordinal bigint not null check (ordinal >= 1),
    previous bigint not null check (previous between 0 and seq - 1),
    check ((previous_status is null) = (previous_ms is null)),
    check ((command is null) = (change is null))
  )`,
  'create index pawl_events_by_resource on pawl_events (resource_id, seq)',
  'create index pawl_events_by_tenant on pawl_events (tenant, internal, seq)',
  'create index pawl_events_by_type on pawl_events (tenant, type, seq)',
]

const LOG = [
  // Whoever appends to the log holds this row until the commit: so the log's order is that of the commits.
  `create table pawl_log (
    id integer primary key check (id = 1),
    identity text not null,
    pruned bigint not null check (pruned between 0 and head),
    head bigint not null check (head >= 0),
    resources bigint not null check (resources >= 0)
  ) with (fillfactor = 10)`,
  `insert into pawl_log values (1, substr(md5(random()::text || clock_timestamp()::text), 1, 16), 0, 0, 0)`,
  `create table pawl_machines (type ${TEXT} primary key, machine ${TEXT} not null)`,
  `create table pawl_bases (
    resource_id ${TEXT} primary key references pawl_resources (id),
    seq bigint not null check (seq >= 1),
    state text not null,
    hash bytea not null check (length(hash) = 32),
    digest bytea not null check (length(digest) = 32)
  )`,
]

const BELONGINGS = [
  `create table pawl_timers (
    position bigint generated always as identity primary key,
    resource_id ${TEXT} not null references pawl_resources (id),
    tenant ${TEXT} not null,
    name ${TEXT},
    event text not null,
    due_at bigint not null,
    next_at bigint not null check (next_at >= due_at),
    attempts bigint not null default 0 check (attempts >= 0),
    last_error text,
    unique (resource_id, name)
  )`,
  'create index pawl_timers_by_time on pawl_timers (next_at, position)',
  `create table pawl_references (
    resource_id ${TEXT} not null references pawl_resources (id),
    field ${TEXT} not null,
    type ${TEXT} not null,
    target_id ${TEXT} not null references pawl_resources (id),
    live smallint not null check (live in (0, 1)),
    position bigint not null,
    primary key (resource_id, field)
  )`,
  'create index pawl_references_by_target on pawl_references (target_id, type, field, live, position)',
  `create table pawl_secrets (
    resource_id ${TEXT} not null references pawl_resources (id),
    name ${TEXT} not null,
    envelope bytea not null,
    primary key (resource_id, name)
  )`,
]

const OUTCOMES = [
  `create table pawl_outcomes (
    tenant ${TEXT} not null,
    key ${TEXT} not null check (length(key) between 1 and 256),
    fingerprint text not null,
    resource text not null,
    changed smallint not null check (changed in (0, 1)),
    events text not null,
    secrets bytea,
    created_at bigint not null,
    primary key (tenant, key)
  )`,
  'create index pawl_outcomes_by_time on pawl_outcomes (created_at)',
]

const CONSUMERS = [
  `create table pawl_consumers (
    tenant ${TEXT} not null,
    name ${TEXT} not null check (length(name) between 1 and 255),
    position bigint not null check (position >= 0),
    owner text,
    fence bigint not null check (fence >= 0),
    leased_until bigint not null,
    attempts bigint not null default 0 check (attempts >= 0),
    next_at bigint not null default 0,
    last_error text,
    primary key (tenant, name)
  ) with (fillfactor = 50)`,
  `create table pawl_parked (
    tenant ${TEXT} not null,
    consumer ${TEXT} not null,
    seq bigint not null check (seq >= 1),
    event_id ${TEXT} not null,
    error text not null,
    attempts bigint not null check (attempts >= 1),
    parked_at bigint not null,
    retry smallint not null default 0 check (retry in (0, 1)),
    primary key (tenant, consumer, seq),
    foreign key (tenant, consumer) references pawl_consumers (tenant, name) on delete cascade
  )`,
]

const DELIVERIES = [
  `create table pawl_dispatch (
    id integer primary key check (id = 1),
    position bigint not null check (position >= 0),
    within bigint not null check (within >= 0),
    revision bigint not null check (revision >= 0)
  ) with (fillfactor = 10)`,
  'insert into pawl_dispatch values (1, 0, 0, 0)',
  `create table pawl_destinations (
    position bigint generated always as identity primary key,
    id ${TEXT} not null unique references pawl_resources (id),
    tenant ${TEXT} not null,
    patterns text not null,
    ordered smallint not null check (ordered in (0, 1)),
    phase text not null check (phase in ('new', 'following', 'behind', 'stopped', 'ended')),
    place bigint check (place >= 0),
    clock bigint not null default 0 check (clock >= 0),
    accepted bigint not null default 0 check (accepted between 0 and clock),
    next_at bigint,
    verify_at bigint,
    check ((place is null) = (phase in ('new', 'following', 'ended')))
  ) with (fillfactor = 50)`,
  'create index pawl_destinations_due on pawl_destinations (next_at, position) where next_at is not null',
  'create index pawl_destinations_unverified on pawl_destinations (verify_at, position) where verify_at is not null',
  `create index pawl_destinations_behind on pawl_destinations (position) where phase = 'behind'`,
  `create table pawl_deliveries (
    seq bigint not null check (seq >= 1),
    destination bigint not null references pawl_destinations (position),
    tenant ${TEXT} not null,
    event_id ${TEXT} not null,
    event_type ${TEXT} not null,
    resource_id ${TEXT} not null,
    replay smallint not null check (replay in (0, 1)),
    status text not null check (status in ('pending', 'waiting', 'succeeded', 'exhausted', 'canceled')),
    open smallint not null check (open = case when status in ('pending', 'waiting') then 1 else 0 end),
    ready smallint not null check (ready in (0, 1) and ready <= open),
    delivering smallint not null check (delivering in (0, 1)),
    next_at bigint not null,
    taken_at bigint,
    fence bigint not null check (fence >= 0),
    attempts bigint not null check (attempts >= 0),
    tries bigint not null check (tries >= 0),
    began bigint,
    last_error text,
    created_at bigint not null,
    delivered_at bigint,
    primary key (seq, destination)
  ) with (fillfactor = 80)`,
  'create index pawl_deliveries_by_destination on pawl_deliveries (destination, seq)',
  'create index pawl_deliveries_by_status on pawl_deliveries (tenant, status, seq)',
  'create index pawl_deliveries_queued on pawl_deliveries (destination, resource_id, ready, replay, seq) where open = 1',
  'create index pawl_deliveries_due on pawl_deliveries (destination, replay, next_at, seq) where ready = 1',
  `create table pawl_attempts (
    seq bigint not null,
    destination bigint not null,
    number bigint not null check (number >= 1),
    at bigint not null,
    status_code bigint,
    duration_ms bigint not null check (duration_ms >= 0),
    error text,
    response_body text,
    primary key (seq, destination, number),
    foreign key (seq, destination) references pawl_deliveries (seq, destination) on delete cascade
  )`,
]
