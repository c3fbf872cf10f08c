-- ------------------------------------------------------------------ one rule, for HTTP and for rows
-- A lease holds from the measurement it counts from until it ends. One of a time to come does not hold: the clock has
-- stepped back since, and it would last longer by as much.
CREATE FUNCTION lease_holds(checked_at timestamptz, open_until timestamptz) RETURNS boolean LANGUAGE sql VOLATILE AS
$$ SELECT checked_at <= clock_timestamp() AND clock_timestamp() < open_until $$;

-- The windows a reader may read now: asked once a statement by row security. As its owner, so that readers need no right
-- on the gate's table, and neither see nor lock it.
CREATE FUNCTION open_windows() RETURNS integer[]
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
$$ SELECT coalesce(array_agg(win), '{}') FROM gate_open WHERE shut_why IS NULL AND lease_holds(checked_at, open_until) $$;
REVOKE ALL ON FUNCTION open_windows() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION open_windows() TO passgate_reader, passgate_app, passgate_auditor;
REVOKE SELECT (win, open_until) ON gate_open FROM passgate_reader;

-- ------------------------------------------------------------------ what a window was joined with
-- Each pin of a window: why it does not stand now (null: it stands), and whether that is for good. A PASS that is the newest
-- of its window stands while its gate is open; a gate that nobody could re-check is not open, and may be so again.
CREATE FUNCTION context_standing(of_win integer)
RETURNS TABLE (context text, pinned_win integer, verdict text, why text, fallen boolean, checked_at timestamptz,
               open_until timestamptz) LANGUAGE sql STABLE AS $$
    SELECT p.context, p.pinned_win, p.verdict,
           CASE WHEN newest.name IS NULL THEN format('%s has no verdict', p.verdict)
                WHEN newest.state <> 'PASS' THEN format('%s is %s', newest.name, newest.state)
                WHEN newest.name <> p.verdict THEN format('%s is not the newest of its window, %s is', p.verdict, newest.name)
                WHEN g.win IS NULL THEN format('the gate of %s was never opened', p.verdict)
                WHEN g.shut_why IS NOT NULL THEN format('the gate of %s is shut: %s', p.verdict, g.shut_why)
                WHEN NOT lease_holds(g.checked_at, g.open_until) THEN
                     format('the gate of %s was not re-checked since %s', p.verdict,
                            to_char(g.open_until AT TIME ZONE 'UTC', 'HH24:MI'))
           END,
           coalesce(newest.state <> 'PASS' OR newest.name <> p.verdict OR g.shut_why IS NOT NULL, true),
           g.checked_at, g.open_until
      FROM window_pin p
      LEFT JOIN LATERAL (
           SELECT v.state, s.name || '/' || r.run_id || '#' || v.number AS name
             FROM verdict v JOIN run r ON r.id = v.run_id JOIN stream s ON s.id = r.stream_id
            WHERE v.win = p.pinned_win ORDER BY v.number DESC LIMIT 1) newest ON true
      LEFT JOIN gate_open g ON g.win = p.pinned_win
     WHERE p.win = of_win
$$;

-- The same of every window with contexts: how far a context's own lease goes, and why it gives nothing any more (`fallen`).
CREATE VIEW window_context AS
SELECT p.win, c.verdict, c.pinned_win, c.checked_at, c.open_until, CASE WHEN c.fallen OR c.checked_at IS NULL THEN left(c.why, 2000) END AS fallen
  FROM (SELECT DISTINCT win FROM window_pin) p CROSS JOIN LATERAL context_standing(p.win) c;
GRANT SELECT ON window_context TO passgate_app, passgate_auditor;

-- Until when a window may be read at most because of what it was joined with: a context whose pinned verdict is no longer
-- the newest PASS of its window, or whose gate was shut, gives nothing.
CREATE FUNCTION context_bound(built integer) RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT coalesce(min(CASE WHEN fallen IS NULL THEN open_until ELSE '-infinity' END), 'infinity')
      FROM window_context WHERE win = built
$$;
REVOKE ALL ON FUNCTION context_bound(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION context_bound(integer) TO passgate_app, passgate_auditor;

-- I10: a lease is written only for the newest PASS of that very window without a contradiction, from a measurement
-- that was made, and no longer than those of its contexts. Shutting is always allowed, and what was shut for a reason
-- stays shut while its verdict stands, unless the reason was another window of the run, which has passed since.
CREATE OR REPLACE FUNCTION gate_transition() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE newest verdict;
BEGIN
    IF NEW.checked_at > clock_timestamp() THEN
        PERFORM refuse('gate_counts_from_measurement', format('%s is a time to come', NEW.checked_at));
    END IF;
    IF TG_OP = 'UPDATE' THEN
        IF NEW.win <> OLD.win THEN
            PERFORM refuse('gate_follows_pass', 'a lease keeps its window');
        END IF;
        IF OLD.shut_why IS NOT NULL AND NEW.verdict_id = OLD.verdict_id AND NEW.shut_why IS DISTINCT FROM OLD.shut_why
           AND NOT (NEW.shut_why IS NULL AND OLD.shut_why LIKE 'a newer verdict of window %') THEN
            PERFORM refuse('gate_stays_shut', format('window %s was shut: %s', OLD.win, OLD.shut_why));
        END IF;
        IF NEW.open_until <= clock_timestamp() THEN
            RETURN NEW;
        END IF;
    END IF;
    SELECT * INTO newest FROM verdict WHERE win = NEW.win ORDER BY number DESC LIMIT 1;
    IF newest.id IS DISTINCT FROM NEW.verdict_id OR newest.state IS DISTINCT FROM 'PASS' THEN
        PERFORM refuse('gate_follows_pass', format('window %s has no standing PASS %s', NEW.win, NEW.verdict_id));
    END IF;
    IF EXISTS (SELECT FROM contradiction c WHERE c.win = NEW.win) THEN
        PERFORM refuse('gate_follows_pass', format('window %s has a contradiction', NEW.win));
    END IF;
    IF NEW.open_until > clock_timestamp() AND (TG_OP = 'INSERT' OR NEW.open_until > OLD.open_until)
       AND NEW.open_until > context_bound(NEW.win) THEN
        PERFORM refuse('gate_follows_context', format('window %s would be open longer than its context', NEW.win));
    END IF;
    RETURN NEW;
END $$;

-- ------------------------------------------------------------------ what ends a lease in its own transaction
-- The windows' rows are locked first: a verdict that is being stored is waited for, and its gate is then seen here; or it
-- waits for this, and finds that a fact has changed.
CREATE FUNCTION contradiction_shuts() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE wins integer[];
BEGIN
    SELECT array_agg(DISTINCT win) INTO wins FROM fresh;
    IF wins IS NULL THEN
        RETURN NULL;
    END IF;
    PERFORM touch_windows(wins);
    UPDATE gate_open g
       SET open_until = least(g.open_until, now_.at), checked_at = now_.at,
           shut_why = CASE c.n WHEN 1 THEN '1 settled publish' ELSE c.n || ' settled publishes' END
                      || ' contradicted by the bus'
      FROM (SELECT win, count(DISTINCT attempt_id) AS n FROM contradiction WHERE win = ANY(wins) GROUP BY win) c,
           (SELECT clock_timestamp() AS at OFFSET 0) now_
     WHERE g.win = c.win AND g.shut_why IS NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER contradiction_shuts AFTER INSERT ON contradiction
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION contradiction_shuts();

-- ------------------------------------------------------------------ the tables that readers read
-- What readers may read was there when the window was judged. A window whose gate was ever open takes no more rows; the
-- windows' rows are locked as above, so that a row on its way is waited for by whoever judges, or finds the gate.
CREATE FUNCTION truth_comes_before_its_gate() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE wins integer[]; late integer;
BEGIN
    SELECT array_agg(win) INTO wins FROM (SELECT win FROM fresh GROUP BY win) w;
    IF wins IS NULL THEN
        RETURN NULL;
    END IF;
    PERFORM touch_windows(wins);
    SELECT min(g.win) INTO late FROM gate_open g WHERE g.win = ANY(wins);
    IF late IS NOT NULL THEN
        PERFORM refuse('truth_comes_before_its_gate', format('the gate of window %s has been open', late));
    END IF;
    RETURN NULL;
END $$;

-- All that a table in schema truth needs, at the first time and again. Row security is one look-up a statement. No column
-- has statistics: EXPLAIN tells what is in them to whoever may read one row, and by the window how many rows a shut one has.
-- Each index leads with the window, or EXPLAIN ANALYZE would count the rows of shut ones that it found by another column.
CREATE OR REPLACE FUNCTION guard_truth_table(guarded regclass) RETURNS void LANGUAGE plpgsql AS $$
DECLARE found_ text;
BEGIN
    SELECT string_agg(i.indexrelid::regclass::text, ', ') INTO found_
      FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attname = 'win'
     WHERE i.indrelid = guarded AND i.indkey[0] <> a.attnum;
    IF found_ IS NOT NULL THEN
        PERFORM refuse('truth_index_leads_with_window', format('%s does not begin with win', found_));
    END IF;
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', guarded);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', guarded);
    EXECUTE format('DROP POLICY IF EXISTS gated ON %s', guarded);
    EXECUTE format('DROP POLICY IF EXISTS ledger ON %s', guarded);
    EXECUTE format('DROP POLICY IF EXISTS projection ON %s', guarded);
    EXECUTE format('CREATE POLICY gated ON %s FOR SELECT TO passgate_reader USING '
                   '(win = ANY((SELECT public.open_windows())::integer[]))', guarded);
    EXECUTE format('CREATE POLICY ledger ON %s FOR SELECT TO passgate_app, passgate_auditor USING (true)', guarded);
    EXECUTE format('CREATE POLICY projection ON %s FOR INSERT TO passgate_app WITH CHECK (true)', guarded);
    EXECUTE format('GRANT SELECT, INSERT ON %s TO passgate_app', guarded);
    EXECUTE format('GRANT SELECT ON %s TO passgate_reader, passgate_auditor', guarded);
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = guarded AND tgname = 'append_only') THEN
        PERFORM guard_append_only(guarded);
    END IF;
    EXECUTE format('CREATE OR REPLACE TRIGGER comes_before_its_gate AFTER INSERT ON %s REFERENCING NEW TABLE AS fresh '
                   'FOR EACH STATEMENT EXECUTE FUNCTION truth_comes_before_its_gate()', guarded);
    FOR found_ IN SELECT attname FROM pg_attribute WHERE attrelid = guarded AND attnum > 0 AND NOT attisdropped LOOP
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS 0', guarded, found_);
        PERFORM pg_clear_attribute_stats(n.nspname::text, c.relname::text, found_, false)
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = guarded;
    END LOOP;
END $$;

SELECT guard_truth_table(c.oid::regclass)
  FROM pg_class c WHERE c.relnamespace = 'truth'::regnamespace AND c.relkind IN ('r', 'p');

GRANT UPDATE (readers_ended_at) ON gate_open TO passgate_app;
