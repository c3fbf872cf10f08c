-- What must never happen is refused here, whoever asks (docs/invariants.md). A constraint's name becomes a domain error.

-- Roles are made by whoever owns the server; a missing one is named, not created with a guessed right.
DO $$
DECLARE missing text;
BEGIN
    SELECT string_agg(r, ', ') INTO missing
      FROM unnest(ARRAY['passgate_app','passgate_auditor','passgate_reader','passgate_eraser','passgate_archiver']) r
     WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r);
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'role(s) missing: %. Create them first, see deploy/roles.sql', missing;
    END IF;
END $$;

CREATE SCHEMA truth;  -- what readers may see, and nothing else

-- ------------------------------------------------------------------ append-only
-- Statement-level, so that it costs nothing on COPY.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'check_violation', CONSTRAINT = 'append_only', TABLE = TG_TABLE_NAME;
END $$;

CREATE FUNCTION guard_append_only(guarded regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %s '
                   'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', guarded);
END $$;

SELECT guard_append_only(t::regclass) FROM unnest(ARRAY[
    'contract', 'event_class', 'source', 'batch', 'receipt', 'event', 'effect', 'place', 'bus_batch', 'scan',
    'foreign_record', 'contradiction', 'control_total', 'window_pin', 'attempt_partition', 'audit_log', 'install'
]) t;

-- Tables whose rows change in named columns only are never deleted from, either.
CREATE FUNCTION guard_no_delete(guarded regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER append_only BEFORE DELETE OR TRUNCATE ON %s '
                   'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', guarded);
END $$;
SELECT guard_no_delete(t::regclass) FROM unnest(ARRAY[
    'stream', 'run', 'run_window', 'window_range', 'position', 'attempt', 'attempt_batch', 'quarantine_item', 'gap',
    'reconcile_request', 'audit_head'
]) t;

-- ------------------------------------------------------------------ a batch lies under its own run (S8)
ALTER TABLE batch ADD CONSTRAINT batch_window_run_fk FOREIGN KEY (win, run_number) REFERENCES run_window (id, run_id);
ALTER TABLE quarantine_item
    ADD CONSTRAINT quarantine_window_run_fk FOREIGN KEY (win, run_number) REFERENCES run_window (id, run_id);

-- ------------------------------------------------------------------ partitions of events and effects
-- Sixteen runs a partition. The app may not create tables; this definer function makes exactly these.
-- Statement triggers are not inherited by partitions and COPY names the leaf, so each leaf is guarded itself.
CREATE FUNCTION ensure_run_partitions(run_number integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    part integer := run_number / 16;
    parent text;
    leaf text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('ensure_run_partitions'));
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
REVOKE ALL ON FUNCTION ensure_run_partitions(integer) FROM PUBLIC;

-- ------------------------------------------------------------------ transitions
CREATE FUNCTION refuse(rule text, why text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', why USING ERRCODE = 'check_violation', CONSTRAINT = rule;
END $$;

CREATE FUNCTION position_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.lane <> OLD.lane OR NEW.source_id <> OLD.source_id OR NEW.stream_id <> OLD.stream_id THEN
        PERFORM refuse('position_key_fixed', 'a position keeps its lane, source and stream');
    END IF;
    IF NEW.fence < OLD.fence THEN
        PERFORM refuse('position_fence_rises', format('fence %s would fall to %s', OLD.fence, NEW.fence));
    END IF;
    IF NEW.owner IS NOT NULL AND NEW.owner IS DISTINCT FROM OLD.owner AND NEW.fence <= OLD.fence THEN
        PERFORM refuse('position_new_owner_new_fence', 'a new owner needs a higher fence');
    END IF;
    IF NEW.next_offset < OLD.next_offset THEN
        PERFORM refuse('position_never_back', format('position %s would go back to %s', OLD.next_offset, NEW.next_offset));
    END IF;
    IF NEW.next_offset > OLD.next_offset AND NEW.fence <> OLD.fence THEN
        PERFORM refuse('position_one_step', 'a position does not move while its owner changes');
    END IF;
    -- a cut is set once, at or after the position, and goes only when the position has reached it
    IF OLD.cut IS NOT NULL AND NEW.cut IS DISTINCT FROM OLD.cut AND NEW.next_offset < OLD.cut THEN
        PERFORM refuse('position_cut_stands', format('cut %s has not been reached', OLD.cut));
    END IF;
    IF NEW.cut IS NOT NULL AND OLD.cut IS NULL AND NEW.cut < OLD.next_offset THEN
        PERFORM refuse('position_cut_not_behind', format('cut %s lies before position %s', NEW.cut, OLD.next_offset));
    END IF;
    -- one move never crosses the cut: the batch is split there
    IF OLD.cut IS NOT NULL AND OLD.next_offset < OLD.cut AND NEW.next_offset > OLD.cut THEN
        PERFORM refuse('position_cut_not_crossed', format('%s to %s crosses the cut %s', OLD.next_offset, NEW.next_offset, OLD.cut));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER position_transition BEFORE UPDATE ON position FOR EACH ROW EXECUTE FUNCTION position_transition();

-- I5: a position moves only together with a batch or a gap row, in one transaction; judged at COMMIT.
CREATE FUNCTION position_move_is_explained() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE starts boolean; ends boolean;
BEGIN
    IF NEW.lane = 'admission' THEN
        starts := EXISTS (SELECT FROM batch WHERE source_id = NEW.source_id AND from_offset = OLD.next_offset);
        ends := EXISTS (SELECT FROM batch WHERE source_id = NEW.source_id AND to_offset = NEW.next_offset);
    ELSIF NEW.lane = 'effects' THEN
        starts := EXISTS (SELECT FROM bus_batch WHERE source_id = NEW.source_id AND from_offset = OLD.next_offset);
        ends := EXISTS (SELECT FROM bus_batch WHERE source_id = NEW.source_id AND to_offset = NEW.next_offset);
    ELSE
        RETURN NULL;
    END IF;
    starts := starts OR EXISTS (SELECT FROM gap WHERE source_id = NEW.source_id AND from_offset = OLD.next_offset);
    ends := ends OR EXISTS (SELECT FROM gap WHERE source_id = NEW.source_id AND to_offset = NEW.next_offset);
    IF NOT (starts AND ends) THEN
        PERFORM refuse('position_move_explained',
                       format('%s/%s: [%s, %s) has neither a batch nor a gap row',
                              NEW.lane, NEW.source_id, OLD.next_offset, NEW.next_offset));
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER position_move_explained AFTER UPDATE OF next_offset ON position
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.next_offset IS DISTINCT FROM OLD.next_offset)
    EXECUTE FUNCTION position_move_is_explained();

CREATE FUNCTION run_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.id, NEW.stream_id, NEW.run_id, NEW.contract_id, NEW.opened_by, NEW.opened_at)
       IS DISTINCT FROM (OLD.id, OLD.stream_id, OLD.run_id, OLD.contract_id, OLD.opened_by, OLD.opened_at) THEN
        PERFORM refuse('run_fixed', 'a run keeps its stream, id and contract');
    END IF;
    IF NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (('OPEN', 'SEALED'), ('SEALED', 'CLOSED')) THEN
        PERFORM refuse('run_transition', format('%s does not become %s', OLD.state, NEW.state));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER run_transition BEFORE UPDATE ON run FOR EACH ROW EXECUTE FUNCTION run_transition();

CREATE FUNCTION window_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.id, NEW.run_id, NEW.number, NEW.contract_id, NEW.reruns, NEW.opened_at)
       IS DISTINCT FROM (OLD.id, OLD.run_id, OLD.number, OLD.contract_id, OLD.reruns, OLD.opened_at) THEN
        PERFORM refuse('window_fixed', 'a window keeps its run, number and contract');
    END IF;
    IF NEW.state <> OLD.state AND (OLD.state, NEW.state) <> ('OPEN', 'CUT') THEN
        PERFORM refuse('window_transition', format('%s does not become %s', OLD.state, NEW.state));
    END IF;
    IF NEW.revision < OLD.revision OR NEW.judged_revision < OLD.judged_revision THEN
        PERFORM refuse('window_revision_rises', 'a revision never falls');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER window_transition BEFORE UPDATE ON run_window FOR EACH ROW EXECUTE FUNCTION window_transition();

CREATE FUNCTION window_range_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.win <> OLD.win OR NEW.source_id <> OLD.source_id OR NEW.start_offset <> OLD.start_offset
       OR OLD.end_offset IS NOT NULL THEN
        PERFORM refuse('window_range_fixed', 'a range keeps its start, and its end once it is set');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER window_range_transition BEFORE UPDATE ON window_range
    FOR EACH ROW EXECUTE FUNCTION window_range_transition();

CREATE FUNCTION attempt_transition() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE answer_needed text;
BEGIN
    IF (NEW.source_id, NEW.transactional_id, NEW.fence, NEW.owner, NEW.install_id, NEW.cluster_id, NEW.topic_id, NEW.topic,
        NEW.events, NEW.bytes, NEW.prepared_at)
       IS DISTINCT FROM (OLD.source_id, OLD.transactional_id, OLD.fence, OLD.owner, OLD.install_id, OLD.cluster_id,
        OLD.topic_id, OLD.topic, OLD.events, OLD.bytes, OLD.prepared_at) THEN
        PERFORM refuse('attempt_fixed', 'an attempt keeps what was PREPARED');
    END IF;
    IF NEW.state = OLD.state THEN
        RETURN NEW;
    END IF;
    IF (OLD.state, NEW.state) NOT IN (
        ('PREPARED', 'ACKED'), ('PREPARED', 'NOT_SENT'), ('PREPARED', 'UNKNOWN'),
        ('UNKNOWN', 'ACKED'), ('UNKNOWN', 'ABSENT'), ('UNKNOWN', 'PARTIAL'), ('UNKNOWN', 'UNDECIDABLE'),
        ('UNDECIDABLE', 'ACKED'), ('UNDECIDABLE', 'ABSENT'), ('UNDECIDABLE', 'PARTIAL')) THEN
        PERFORM refuse('attempt_transition', format('attempt %s: %s does not become %s', OLD.id, OLD.state, NEW.state));
    END IF;
    -- I6: nothing leaves UNKNOWN without a scan whose fence is newer than the one the attempt was sent under
    IF OLD.state IN ('UNKNOWN', 'UNDECIDABLE') THEN
        answer_needed := CASE NEW.state WHEN 'ACKED' THEN 'PRESENT' ELSE NEW.state END;
        IF NOT EXISTS (SELECT FROM scan WHERE attempt_id = NEW.id AND fence > NEW.fence AND answer = answer_needed) THEN
            PERFORM refuse('attempt_needs_fence_evidence',
                           format('attempt %s leaves %s without a scan after a newer fence', OLD.id, OLD.state));
        END IF;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER attempt_transition BEFORE UPDATE ON attempt FOR EACH ROW EXECUTE FUNCTION attempt_transition();

CREATE FUNCTION attempt_starts_prepared() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state <> 'PREPARED' THEN
        PERFORM refuse('attempt_starts_prepared', 'an attempt starts as PREPARED');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER attempt_starts_prepared BEFORE INSERT ON attempt FOR EACH ROW EXECUTE FUNCTION attempt_starts_prepared();

-- `live` follows the attempt's state, so attempt_batch_one_live means "one unsettled or ACKED attempt a batch".
CREATE FUNCTION attempt_frees_batches() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE attempt_batch SET live = false WHERE attempt_id = NEW.id;
    RETURN NULL;
END $$;
CREATE TRIGGER attempt_frees_batches AFTER UPDATE OF state ON attempt FOR EACH ROW
    WHEN (NEW.state IN ('ABSENT', 'PARTIAL', 'NOT_SENT')) EXECUTE FUNCTION attempt_frees_batches();

CREATE FUNCTION quarantine_transition() RETURNS trigger LANGUAGE plpgsql AS $$
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
    IF OLD.state = 'RESOLVED' AND (NEW.state, NEW.resolution, NEW.resolved_by, NEW.resolved_reason, NEW.resolved_at)
       IS DISTINCT FROM (OLD.state, OLD.resolution, OLD.resolved_by, OLD.resolved_reason, OLD.resolved_at) THEN
        PERFORM refuse('quarantine_resolved_once', 'a resolution stands');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER quarantine_transition BEFORE UPDATE ON quarantine_item
    FOR EACH ROW EXECUTE FUNCTION quarantine_transition();

CREATE FUNCTION gap_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state = 'PROVEN' OR NEW.state <> 'PROVEN'
       OR (NEW.source_id, NEW.from_offset, NEW.to_offset, NEW.isolation, NEW.why, NEW.fence, NEW.claimed_at)
          IS DISTINCT FROM (OLD.source_id, OLD.from_offset, OLD.to_offset, OLD.isolation, OLD.why, OLD.fence, OLD.claimed_at)
    THEN
        PERFORM refuse('gap_transition', 'a gap goes from CLAIMED to PROVEN once and keeps its claim');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER gap_transition BEFORE UPDATE ON gap FOR EACH ROW EXECUTE FUNCTION gap_transition();

-- ------------------------------------------------------------------ who may do what
GRANT USAGE ON SCHEMA public, truth TO passgate_app, passgate_auditor;
GRANT USAGE ON SCHEMA truth TO passgate_reader;
REVOKE ALL ON SCHEMA public FROM passgate_reader;

GRANT SELECT, INSERT ON
    install, stream, contract, event_class, source, run, run_window, window_range, window_pin, control_total, position,
    batch, receipt, event, quarantine_item, publish_queue, attempt, attempt_batch, attempt_partition, place,
    reconcile_request, scan, bus_batch, effect, foreign_record, contradiction, gap, sample, permit, audit_log
TO passgate_app;
GRANT SELECT ON audit_head TO passgate_app;
GRANT UPDATE (last_id, digest) ON audit_head TO passgate_app;
GRANT UPDATE (state, sealed_at, closed_at) ON run TO passgate_app;
GRANT UPDATE (state, revision, judged_revision, cut_at, bus_end_at) ON run_window TO passgate_app;
GRANT UPDATE (end_offset) ON window_range TO passgate_app;
GRANT UPDATE (next_offset, leader_epoch, fence, owner, until, cut, win, next_win, progressed_at, stopped_code,
              stopped_detail, stopped_at, stopped_until) ON position TO passgate_app;
GRANT UPDATE (seen, state, resolution, resolved_by, resolved_reason, resolved_at) ON quarantine_item TO passgate_app;
GRANT UPDATE (state, why, unknown_at, settled_at) ON attempt TO passgate_app;
GRANT UPDATE (served_at) ON reconcile_request TO passgate_app;
GRANT UPDATE (state, proven_at, proof) ON gap TO passgate_app;
GRANT UPDATE (taken_at, ended_at) ON permit TO passgate_app;
GRANT DELETE ON publish_queue, permit, sample TO passgate_app;  -- a queue is taken from; samples and permits age
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO passgate_app;
GRANT EXECUTE ON FUNCTION ensure_run_partitions(integer) TO passgate_app;

GRANT SELECT ON
    install, stream, contract, event_class, source, run, run_window, window_range, window_pin, control_total, position,
    batch, receipt, event, quarantine_item, publish_queue, attempt, attempt_batch, attempt_partition, place,
    reconcile_request, scan, bus_batch, effect, foreign_record, contradiction, gap, sample, permit, audit_log, audit_head
TO passgate_auditor;

INSERT INTO audit_head (id, last_id, digest) VALUES (1, 0, decode(repeat('00', 32), 'hex'));
INSERT INTO install (id, install_id) VALUES (1, gen_random_uuid());
