-- Turns that processes take are row locks on tables a reader cannot see. Advisory locks have names that anybody can say:
-- a reader's login that took the dispatcher's stopped every lane.
SELECT guard_no_delete('turn'::regclass);
INSERT INTO turn (name) VALUES ('dispatch'), ('partitions');

-- Whether the turn was free: it is this transaction's until its end, a crash's included.
CREATE FUNCTION try_turn(wanted text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM FROM turn WHERE name = wanted FOR UPDATE SKIP LOCKED;
    RETURN FOUND;
END $$;

-- The turn of the doors of one run, waited for. The stream's own row, which nobody updates: foreign keys to it, which
-- share its key alone, neither wait for this nor hold it up.
CREATE FUNCTION door_turn(run_number integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM FROM stream WHERE id = (SELECT stream_id FROM run WHERE id = run_number) FOR NO KEY UPDATE;
END $$;

CREATE OR REPLACE FUNCTION ensure_run_partitions(run_number integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    part integer := run_number / 16;
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

-- Tells these windows that a fact of theirs changes in this transaction (S12). An open one is share-locked: a cut that
-- is under way is waited for, and then seen as a cut one. Whoever stores a verdict locks the same row, before or after.
CREATE FUNCTION touch_windows(wins integer[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM FROM run_window WHERE id = ANY(wins) AND state = 'OPEN' ORDER BY id FOR SHARE;
    UPDATE run_window SET revision = revision + 1 WHERE id = ANY(wins) AND state = 'CUT';
END $$;

REVOKE ALL ON FUNCTION try_turn(text), door_turn(integer), touch_windows(integer[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION try_turn(text), door_turn(integer), touch_windows(integer[]) TO passgate_app;
GRANT SELECT ON turn TO passgate_app, passgate_auditor;
