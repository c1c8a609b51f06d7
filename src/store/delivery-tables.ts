/** Where do deliveries stand? The migration `0004_deliveries`. @module */

import { type Kysely, type Migration, sql } from 'kysely'

/**
 * A transition writes nothing for destinations: a dispatcher goes through the log, and writes the deliveries together
 * with the place that it has come to.
 */
export const deliveryTables: Migration = {
  async up(db) {
    await createDispatch(db)
    await createDestinations(db)
    await createDeliveries(db)
    await createAttempts(db)
  },
}

type Db = Kysely<unknown>

async function createDispatch(db: Db): Promise<void> {
  await sql`
    create table pawl_dispatch (
      id integer primary key check (id = 1),
      position integer not null check (position >= 0),
      within integer not null check (within >= 0),
      revision integer not null check (revision >= 0)
    ) strict`.execute(db)
  // What has happened before there was a dispatcher is delivered to nobody.
  await sql`
    insert into pawl_dispatch
    select 1, max(pruned, coalesce((select max(seq) from pawl_events), 0)), 0, 0 from pawl_log`.execute(
    db,
  )
}

async function createDestinations(db: Db): Promise<void> {
  await sql`
    create table pawl_destinations (
      position integer primary key autoincrement,
      id text not null unique references pawl_resources (id),
      tenant text not null,
      patterns text not null check (json_valid(patterns)),
      ordered integer not null check (ordered in (0, 1)),
      phase text not null check (phase in ('new', 'following', 'behind', 'stopped', 'ended')),
      place integer check (place >= 0),
      clock integer not null default 0 check (clock >= 0),
      accepted integer not null default 0 check (accepted between 0 and clock),
      next_at integer,
      verify_at integer,
      check ((place is null) = (phase in ('new', 'following', 'ended')))
    ) strict`.execute(db)
  await sql`
    create index pawl_destinations_due on pawl_destinations (next_at, position)
    where next_at is not null`.execute(db)
  await sql`
    create index pawl_destinations_unverified on pawl_destinations (verify_at, position)
    where verify_at is not null`.execute(db)
  await sql`
    create index pawl_destinations_behind on pawl_destinations (position)
    where phase = 'behind'`.execute(db)
  await insertKnown(db)
}

/** The destinations that there are already go on from here. */
async function insertKnown(db: Db): Promise<void> {
  await sql`
    insert into pawl_destinations (id, tenant, patterns, ordered, phase, place, verify_at)
    select
      id, tenant, json_extract(context, '$.events'),
      coalesce(json_extract(context, '$.delivery.order'), 'resource') = 'resource',
      case status when 'active' then 'following' when 'inactive' then 'stopped' else 'new' end,
      case status when 'inactive' then (select position from pawl_dispatch) end,
      case status when 'pending_verification' then updated_at end
    from pawl_resources
    where type = 'event_destination' and final = 0 and json_extract(context, '$.events') is not null
    order by position`.execute(db)
}

async function createDeliveries(db: Db): Promise<void> {
  await sql`
    create table pawl_deliveries (
      seq integer not null check (seq >= 1),
      destination integer not null references pawl_destinations (position),
      tenant text not null,
      event_id text not null,
      event_type text not null,
      resource_id text not null,
      replay integer not null check (replay in (0, 1)),
      status text not null
        check (status in ('pending', 'waiting', 'succeeded', 'exhausted', 'canceled')),
      open integer not null check (open = (status in ('pending', 'waiting'))),
      ready integer not null check (ready in (0, 1) and ready <= open),
      delivering integer not null check (delivering in (0, 1)),
      next_at integer not null,
      taken_at integer,
      fence integer not null check (fence >= 0),
      attempts integer not null check (attempts >= 0),
      tries integer not null check (tries >= 0),
      began integer,
      last_error text,
      created_at integer not null,
      delivered_at integer,
      primary key (seq, destination)
    ) strict, without rowid`.execute(db)
  await sql`
    create index pawl_deliveries_by_destination
    on pawl_deliveries (destination, seq)`.execute(db)
  await sql`
    create index pawl_deliveries_by_status on pawl_deliveries (tenant, status, seq)`.execute(db)
  await sql`
    create index pawl_deliveries_queued
    on pawl_deliveries (destination, resource_id, ready, replay, seq) where open = 1`.execute(db)
  await sql`
    create index pawl_deliveries_due
    on pawl_deliveries (destination, replay, next_at, seq) where ready = 1`.execute(db)
}

async function createAttempts(db: Db): Promise<void> {
  await sql`
    create table pawl_attempts (
      seq integer not null,
      destination integer not null,
      number integer not null check (number >= 1),
      at integer not null,
      status_code integer,
      duration_ms integer not null check (duration_ms >= 0),
      error text,
      response_body text,
      primary key (seq, destination, number),
      foreign key (seq, destination) references pawl_deliveries (seq, destination) on delete cascade
    ) strict, without rowid`.execute(db)
}
