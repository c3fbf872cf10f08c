-- Partitioned by run number; leaves are made by ensure_run_partitions(). PostgreSQL's default column order is kept narrow first.
CREATE TABLE event (
    run_number integer NOT NULL,
    identity bytea NOT NULL,
    win integer NOT NULL,
    class_id integer NOT NULL,
    source_id integer NOT NULL,
    "offset" bigint NOT NULL,
    batch_id bigint NOT NULL,
    payload_digest bytea NOT NULL,
    event_id text NOT NULL,
    key bytea,
    headers bytea,
    payload bytea,
    CONSTRAINT event_identity_unique PRIMARY KEY (run_number, identity)
) PARTITION BY RANGE (run_number);
CREATE INDEX event_batch ON event (batch_id, "offset");
