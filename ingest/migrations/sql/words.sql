-- Functions that name what 0014_words renames.

CREATE OR REPLACE FUNCTION run_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.id, NEW.stream_id, NEW.name, NEW.contract_id, NEW.opened_by, NEW.opened_at)
       IS DISTINCT FROM (OLD.id, OLD.stream_id, OLD.name, OLD.contract_id, OLD.opened_by, OLD.opened_at) THEN
        PERFORM refuse('run_fixed', 'a run keeps its stream, name and contract');
    END IF;
    IF NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (('OPEN', 'CUT'), ('CUT', 'CLOSED')) THEN
        PERFORM refuse('run_transition', format('%s does not become %s', OLD.state, NEW.state));
    END IF;
    RETURN NEW;
END $$;

-- What a person resolved is what the person saw. More of it afterwards opens the item again: who signed for one mismatch did
-- not sign for five hundred. Who resolved it before, and why, stands in the audit log.
CREATE OR REPLACE FUNCTION quarantine_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- I12 and the ledger's promise: what was set aside is kept as it came
    IF (NEW.win, NEW.run_id, NEW.source_id, NEW."offset", NEW.batch_id, NEW.reason, NEW.detail, NEW.class_id,
        NEW.identity, NEW.event_id, NEW.payload_digest, NEW.value, NEW.key, NEW.headers, NEW.first_source_id,
        NEW.first_offset, NEW.arrived_at)
       IS DISTINCT FROM (OLD.win, OLD.run_id, OLD.source_id, OLD."offset", OLD.batch_id, OLD.reason, OLD.detail,
        OLD.class_id, OLD.identity, OLD.event_id, OLD.payload_digest, OLD.value, OLD.key, OLD.headers,
        OLD.first_source_id, OLD.first_offset, OLD.arrived_at) THEN
        PERFORM refuse('quarantine_item_fixed', 'a quarantine item keeps what arrived');
    END IF;
    IF NEW.seen < OLD.seen THEN
        PERFORM refuse('quarantine_item_fixed', 'a count of arrivals never falls');
    END IF;
    IF NEW.seen > OLD.seen AND NEW.state = 'RESOLVED' AND OLD.state = 'OPEN' THEN
        PERFORM refuse('quarantine_resolves_what_was_seen', 'an item is not resolved while its count rises');
    END IF;
    IF OLD.state = 'RESOLVED' AND (NEW.state, NEW.resolution, NEW.resolved_by, NEW.resolved_reason, NEW.resolved_at)
       IS DISTINCT FROM (OLD.state, OLD.resolution, OLD.resolved_by, OLD.resolved_reason, OLD.resolved_at) THEN
        PERFORM refuse('quarantine_resolved_once', 'a resolution stands');
    END IF;
    IF OLD.state = 'RESOLVED' AND NEW.seen > OLD.seen THEN
        NEW.state := 'OPEN';
        NEW.resolution := NULL;
        NEW.resolved_by := NULL;
        NEW.resolved_reason := NULL;
        NEW.resolved_at := NULL;
    END IF;
    RETURN NEW;
END $$;

-- The turn of the doors of one run, waited for. The stream's own row, which nobody updates: foreign keys to it, which
-- share its key alone, neither wait for this nor hold it up. A parameter's name is no part of a function: it is made anew.
DROP FUNCTION door_turn(integer);
CREATE FUNCTION door_turn(run_id integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM FROM stream WHERE id = (SELECT r.stream_id FROM run r WHERE r.id = run_id) FOR NO KEY UPDATE;
END $$;

DROP FUNCTION ensure_run_partitions(integer);
CREATE FUNCTION ensure_run_partitions(run_id integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    part integer := run_id / 16;
    parent text;
    leaf text;
BEGIN
    PERFORM FROM turn WHERE name = 'partitions' FOR UPDATE;
    FOREACH parent IN ARRAY ARRAY['event', 'effect'] LOOP
        leaf := parent || '_p' || part;
        IF to_regclass(leaf) IS NULL THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%s) TO (%s)',
                           leaf, parent, part * 16, part * 16 + 16);
            PERFORM guard_append_only(leaf::regclass);
            EXECUTE format('GRANT SELECT, INSERT ON %I TO passgate_app', leaf);
            EXECUTE format('GRANT SELECT ON %I TO passgate_auditor', leaf);
        END IF;
    END LOOP;
END $$;

REVOKE ALL ON FUNCTION door_turn(integer), ensure_run_partitions(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION door_turn(integer), ensure_run_partitions(integer) TO passgate_app;
