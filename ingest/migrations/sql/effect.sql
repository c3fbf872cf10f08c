CREATE TABLE effect (
    run_number integer NOT NULL,
    identity bytea NOT NULL,
    win integer NOT NULL,
    bus_source_id integer NOT NULL,
    bus_offset bigint NOT NULL,
    bus_batch_id bigint NOT NULL,
    context_state smallint,
    context_reason text,
    CONSTRAINT effect_identity_unique PRIMARY KEY (run_number, identity)
) PARTITION BY RANGE (run_number);
