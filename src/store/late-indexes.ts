/** How does the log get along with fewer writes? The migration `0003_late_indexes`. @module */

import { type Kysely, type Migration, sql } from 'kysely'

/**
 * The log keeps no index of all its entries that every commit would have to write to.
 *
 * The entries of a resource are chained: each knows the one before it and how many there are by then,
 * and every 32nd is found by an index. What else is looked for stands in a listing, which gets many entries at a
 * time, in one of many commits.
 */
export const lateIndexes: Migration = {
  async up(db) {
    await linkResources(db)
    await rebuildEvents(db)
    await createListing(db)
    await createStatuses(db)
    await rebuildLog(db)
  },
}

type Db = Kysely<unknown>

async function linkResources(db: Db): Promise<void> {
  await sql`
    alter table pawl_resources
    add column latest integer not null default 0 check (latest >= 0)`.execute(db)
  await sql`
    alter table pawl_resources
    add column entries integer not null default 0 check (entries >= 0)`.execute(db)
  await sql`
    update pawl_resources set (latest, entries) = (
      select
        coalesce(max(seq), (select seq from pawl_bases where resource_id = pawl_resources.id), 0),
        count(*)
      from pawl_events where resource_id = pawl_resources.id
    )`.execute(db)
}

async function rebuildEvents(db: Db): Promise<void> {
  await sql`
    create table pawl_events_new (
      seq integer primary key check (seq >= 1),
      id text not null check (length(id) between 1 and 255),
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
      ordinal integer not null check (ordinal >= 1),
      previous integer not null check (previous between 0 and seq - 1),
      check ((previous_status is null) = (previous_ms is null)),
      check ((command is null) = (change is null))
    ) strict`.execute(db)
  await sql`
    insert into pawl_events_new
    select
      seq, id, tenant, type, internal, resource_id, resource_version, data, previous_status,
      previous_ms, command, change, cause, actor, correlation_id, causation_id, created_at, hash,
      row_number() over resource,
      coalesce(
        lag(seq) over resource,
        (select seq from pawl_bases where resource_id = pawl_events.resource_id),
        0
      )
    from pawl_events
    window resource as (partition by resource_id order by seq)`.execute(db)
  await sql`drop table pawl_events`.execute(db)
  await sql`alter table pawl_events_new rename to pawl_events`.execute(db)
  await sql`
    create index pawl_events_milestones on pawl_events (resource_id, seq)
    where ordinal % 32 = 0`.execute(db)
}

async function createListing(db: Db): Promise<void> {
  await sql`
    create table pawl_listing (
      seq integer primary key,
      id text not null unique,
      tenant text not null,
      type text not null,
      internal integer not null
    ) strict`.execute(db)
  await sql`
    insert into pawl_listing select seq, id, tenant, type, internal from pawl_events`.execute(db)
  await sql`create index pawl_listing_by_tenant on pawl_listing (tenant, internal, seq)`.execute(db)
  await sql`create index pawl_listing_by_type on pawl_listing (tenant, type, seq)`.execute(db)
}

async function createStatuses(db: Db): Promise<void> {
  await sql`drop index pawl_resources_by_status`.execute(db)
  await sql`
    create table pawl_statuses (
      position integer primary key references pawl_resources (position),
      tenant text not null,
      type text not null,
      status text not null
    ) strict`.execute(db)
  await sql`
    insert into pawl_statuses select position, tenant, type, status from pawl_resources`.execute(db)
  await sql`
    create index pawl_statuses_by_status
    on pawl_statuses (tenant, type, status, position)`.execute(db)
}

/** The end of the log is in the log itself, and in the resources: each knows its latest entry. */
async function rebuildLog(db: Db): Promise<void> {
  await sql`
    create table pawl_log_new (
      id integer primary key check (id = 1),
      identity text not null,
      pruned integer not null check (pruned >= 0)
    ) strict`.execute(db)
  await sql`
    insert into pawl_log_new select id, identity, pruned from pawl_log`.execute(db)
  await sql`drop table pawl_log`.execute(db)
  await sql`alter table pawl_log_new rename to pawl_log`.execute(db)
}
