-- A gap begins as a claim, made by the lane that moves over it; whoever claimed it does not prove it. The audit log grows
-- at its head only, and its head moves with it only.

-- ------------------------------------------------------------------ gaps
CREATE FUNCTION gap_starts_claimed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state <> 'CLAIMED' OR NEW.proof IS NOT NULL OR NEW.proven_at IS NOT NULL THEN
        PERFORM refuse('gap_starts_claimed', 'a gap starts as CLAIMED, without a proof');
    END IF;
    -- the position is moved before its gaps are written, and stays locked: whoever else moves it waits
    IF NOT EXISTS (SELECT FROM position p
                    WHERE p.source_id = NEW.source_id AND p.lane IN ('admission', 'effects') AND p.owner IS NOT NULL
                      AND p.fence = NEW.fence AND p.next_offset >= NEW.to_offset) THEN
        PERFORM refuse('gap_claimed_by_its_lane',
                       format('gap [%s, %s) of source %s: no lane that stands behind it holds fence %s',
                              NEW.from_offset, NEW.to_offset, NEW.source_id, NEW.fence));
    END IF;
    NEW.claimed_backend := pg_backend_pid();
    NEW.proven_backend := NULL;
    RETURN NEW;
END $$;
CREATE TRIGGER gap_starts_claimed BEFORE INSERT ON gap FOR EACH ROW EXECUTE FUNCTION gap_starts_claimed();

CREATE OR REPLACE FUNCTION gap_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state = 'PROVEN' OR NEW.state <> 'PROVEN'
       OR (NEW.source_id, NEW.from_offset, NEW.to_offset, NEW.isolation, NEW.why, NEW.fence, NEW.claimed_at, NEW.leader_epoch,
           NEW.claimed_backend)
          IS DISTINCT FROM (OLD.source_id, OLD.from_offset, OLD.to_offset, OLD.isolation, OLD.why, OLD.fence, OLD.claimed_at,
           OLD.leader_epoch, OLD.claimed_backend)
    THEN
        PERFORM refuse('gap_transition', 'a gap goes from CLAIMED to PROVEN once and keeps its claim');
    END IF;
    IF OLD.claimed_backend = pg_backend_pid() THEN
        PERFORM refuse('gap_claimer_does_not_prove', 'the connection that claimed a gap does not prove it');
    END IF;
    IF NEW.proof IS NOT NULL AND ((NEW.proof ->> 'read_to')::bigint < NEW.to_offset) IS NOT FALSE THEN
        PERFORM refuse('gap_proof_reaches_its_end', 'a proof says how far its reader came: to the end of the gap at least');
    END IF;
    NEW.proven_at := clock_timestamp();
    NEW.proven_backend := pg_backend_pid();
    RETURN NEW;
END $$;

-- ------------------------------------------------------------------ the audit log
CREATE FUNCTION audit_row_at_head() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE head audit_head;
BEGIN
    SELECT * INTO head FROM audit_head WHERE id = 1;
    IF NEW.id <> head.last_id + 1 OR NEW.previous <> head.digest OR octet_length(NEW.digest) <> 32 THEN
        PERFORM refuse('audit_row_at_head', format('row %s does not follow the head, row %s', NEW.id, head.last_id));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER audit_row_at_head BEFORE INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION audit_row_at_head();

CREATE FUNCTION audit_head_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM audit_head WHERE id = 1 AND last_id >= NEW.id) THEN
        PERFORM refuse('audit_head_moved', format('row %s was written and the head was not moved', NEW.id));
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER audit_head_moved AFTER INSERT ON audit_log
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit_head_moved();

CREATE FUNCTION audit_head_on_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.last_id <> OLD.last_id + 1
       OR NOT EXISTS (SELECT FROM audit_log l
                       WHERE l.id = NEW.last_id AND l.digest = NEW.digest AND l.previous = OLD.digest) THEN
        PERFORM refuse('audit_head_on_row', format('the head moves from row %s to its next, not to %s', OLD.last_id, NEW.last_id));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER audit_head_on_row BEFORE UPDATE ON audit_head FOR EACH ROW EXECUTE FUNCTION audit_head_on_row();
