/** How does a database get its tables, step by step? Append only: a migration that has been released never changes. @module */

import { type Kysely, type Migration, sql } from 'kysely'
import { deliveryTables } from './delivery-tables.ts'
import { lateIndexes } from './late-indexes.ts'

const initial: Migration = {
  async up(db) {
    await createResources(db)
    await createEvents(db)
    await createTimers(db)
    await createReferences(db)
    await createSecrets(db)
    await createOutcomes(db)
    await createLog(db)
    await createMachines(db)
  },
}

const consumersAndPruning: Migration = {
  async up(db) {
    await identifyLog(db)
    await createConsumers(db)
    await createParked(db)
    await createBases(db)
  },
}

/** All migrations, by name, in order. */
export const migrations: Readonly<Record<string, Migration>> = {
  '0001_initial': initial,
  '0002_consumers_and_pruning': consumersAndPruning,
  '0003_late_indexes': lateIndexes,
  '0004_deliveries': deliveryTables,
}

type Db = Kysely<unknown>

async function createResources(db: Db): Promise<void> {
  await sql`
    create table pawl_resources (
      position integer primary key autoincrement,
      id text not null unique check (length(id) between 1 and 255),
      tenant text not null check (length(tenant) between 1 and 255),
      type text not null,
      status text not null,
      version integer not null check (version >= 1),
      final integer not null check (final in (0, 1)),
      value text not null check (json_valid(value)),
      memory text check (json_valid(memory)),
      context text not null check (json_valid(context)),
      machine text not null,
      created_at integer not null,
      updated_at integer not null check (updated_at >= created_at),
      status_since integer not null check (status_since between created_at and updated_at),
      head blob check (length(head) = 32)
    ) strict`.execute(db)
  await sql`create index pawl_resources_by_status on pawl_resources (tenant, type, status, position)`.execute(
    db,
  )
}

async function createEvents(db: Db): Promise<void> {
  await sql`
    create table pawl_events (
      seq integer primary key check (seq >= 1),
      id text not null unique check (length(id) between 1 and 255),
      tenant text not null,
      type text not null,
      internal integer not null check (internal in (0, 1)),
      resource_id text not null references pawl_resources (id),
      resource_version integer not null check (resource_version >= 1),
      data text not null check (json_valid(data)),
      previous_status text,
      previous_ms integer check (previous_ms >= 0),
      command text check (json_valid(command)),
      change text check (json_valid(change)),
      cause text not null,
      actor text check (json_valid(actor)),
      correlation_id text not null,
      causation_id text,
      created_at integer not null,
      hash blob not null check (length(hash) = 32),
      check ((previous_status is null) = (previous_ms is null)),
      check ((command is null) = (change is null))
    ) strict`.execute(db)
  await sql`create index pawl_events_by_resource on pawl_events (resource_id, seq)`.execute(db)
  await sql`create index pawl_events_by_tenant on pawl_events (tenant, internal, seq)`.execute(db)
  await sql`create index pawl_events_by_type on pawl_events (tenant, type, seq)`.execute(db)
  await sql`create index pawl_events_by_time on pawl_events (created_at, seq)`.execute(db)
}

async function createTimers(db: Db): Promise<void> {
  await sql`
    create table pawl_timers (
      position integer primary key autoincrement,
      resource_id text not null references pawl_resources (id),
      tenant text not null,
      name text,
      event text not null check (json_valid(event)),
      due_at integer not null,
      next_at integer not null check (next_at >= due_at),
      attempts integer not null default 0 check (attempts >= 0),
      last_error text,
      unique (resource_id, name)
    ) strict`.execute(db)
  await sql`create index pawl_timers_by_time on pawl_timers (next_at, position)`.execute(db)
}

async function createReferences(db: Db): Promise<void> {
  await sql`
    create table pawl_references (
      resource_id text not null references pawl_resources (id),
      field text not null,
      type text not null,
      target_id text not null references pawl_resources (id),
      live integer not null check (live in (0, 1)),
      position integer not null,
      primary key (resource_id, field)
    ) strict, without rowid`.execute(db)
  await sql`
    create index pawl_references_by_target
    on pawl_references (target_id, type, field, live, position)`.execute(db)
}

async function createSecrets(db: Db): Promise<void> {
  await sql`
    create table pawl_secrets (
      resource_id text not null references pawl_resources (id),
      name text not null,
      envelope blob not null,
      primary key (resource_id, name)
    ) strict, without rowid`.execute(db)
}

async function createOutcomes(db: Db): Promise<void> {
  await sql`
    create table pawl_outcomes (
      tenant text not null,
      key text not null check (length(key) between 1 and 256),
      fingerprint text not null,
      resource text not null check (json_valid(resource)),
      changed integer not null check (changed in (0, 1)),
      events text not null check (json_valid(events)),
      secrets blob,
      created_at integer not null,
      primary key (tenant, key)
    ) strict, without rowid`.execute(db)
  await sql`create index pawl_outcomes_by_time on pawl_outcomes (created_at)`.execute(db)
}

async function createLog(db: Db): Promise<void> {
  await sql`
    create table pawl_log (
      id integer primary key check (id = 1),
      head integer not null check (head >= 0)
    ) strict`.execute(db)
  await sql`insert into pawl_log (id, head) values (1, 0)`.execute(db)
}

async function createMachines(db: Db): Promise<void> {
  await sql`
    create table pawl_machines (
      type text primary key not null,
      machine text not null
    ) strict, without rowid`.execute(db)
}

async function identifyLog(db: Db): Promise<void> {
  await sql`alter table pawl_log add column identity text not null default ''`.execute(db)
  await sql`alter table pawl_log add column pruned integer not null default 0 check (pruned between 0 and head)`.execute(
    db,
  )
  await sql`update pawl_log set identity = lower(hex(randomblob(8)))`.execute(db)
}

async function createConsumers(db: Db): Promise<void> {
  await sql`
    create table pawl_consumers (
      tenant text not null,
      name text not null check (length(name) between 1 and 255),
      position integer not null check (position >= 0),
      owner text,
      fence integer not null check (fence >= 0),
      leased_until integer not null,
      attempts integer not null default 0 check (attempts >= 0),
      next_at integer not null default 0,
      last_error text,
      primary key (tenant, name)
    ) strict, without rowid`.execute(db)
}

async function createParked(db: Db): Promise<void> {
  await sql`
    create table pawl_parked (
      tenant text not null,
      consumer text not null,
      seq integer not null check (seq >= 1),
      event_id text not null,
      error text not null,
      attempts integer not null check (attempts >= 1),
      parked_at integer not null,
      retry integer not null default 0 check (retry in (0, 1)),
      primary key (tenant, consumer, seq),
      foreign key (tenant, consumer) references pawl_consumers (tenant, name) on delete cascade
    ) strict, without rowid`.execute(db)
}

async function createBases(db: Db): Promise<void> {
  await sql`
    create table pawl_bases (
      resource_id text primary key not null references pawl_resources (id),
      seq integer not null check (seq >= 1),
      state text not null check (json_valid(state)),
      hash blob not null check (length(hash) = 32),
      digest blob not null check (length(digest) = 32)
    ) strict, without rowid`.execute(db)
}
