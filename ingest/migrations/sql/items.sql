-- What a person resolved is what the person saw. More of it afterwards opens the item again: who signed for one mismatch did
-- not sign for five hundred. Who resolved it before, and why, stands in the audit log.
CREATE OR REPLACE FUNCTION quarantine_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- I12 and the ledger's promise: what was set aside is kept as it came
    IF (NEW.win, NEW.run_number, NEW.source_id, NEW."offset", NEW.batch_id, NEW.reason, NEW.detail, NEW.class_id,
        NEW.identity, NEW.event_id, NEW.payload_digest, NEW.value, NEW.key, NEW.headers, NEW.first_source_id,
        NEW.first_offset, NEW.arrived_at)
       IS DISTINCT FROM (OLD.win, OLD.run_number, OLD.source_id, OLD."offset", OLD.batch_id, OLD.reason, OLD.detail,
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

-- An item begins open: nobody has seen it yet.
CREATE FUNCTION quarantine_begins_open() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse('quarantine_begins_open', 'an item begins OPEN');
    RETURN NULL;
END $$;
CREATE TRIGGER quarantine_begins_open BEFORE INSERT ON quarantine_item FOR EACH ROW WHEN (NEW.state <> 'OPEN')
    EXECUTE FUNCTION quarantine_begins_open();
