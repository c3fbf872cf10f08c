-- A rerun that proves all of a window that failed opens it: its PASS `covers` that window.

-- The newest verdict that covers a window: of which rerun it is, and whether it stands, which it does until that rerun fails.
-- No row: none does.
CREATE FUNCTION covering(of_win integer)
RETURNS TABLE (verdict_id bigint, rerun_win integer, rerun integer, name text, stands boolean) LANGUAGE sql STABLE AS $$
    SELECT v.id, v.win, x.rerun, s.name || '/' || r.name || '#' || v.number,
           NOT EXISTS (SELECT FROM verdict n WHERE n.win = v.win AND n.number > v.number)
      FROM verdict v JOIN run_window x ON x.id = v.win JOIN run r ON r.id = v.run_id JOIN stream s ON s.id = r.stream_id
     WHERE v.covers = of_win ORDER BY v.id DESC LIMIT 1
$$;

-- The verdict that a window's gate may stand on: its own newest, which is PASS; where that is FAIL, the newest that covers it,
-- while that stands. Null: none.
CREATE FUNCTION gate_verdict(of_win integer) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT CASE v.state WHEN 'PASS' THEN v.id WHEN 'FAIL' THEN (SELECT c.verdict_id FROM covering(of_win) c WHERE c.stands) END
      FROM verdict v WHERE v.win = of_win ORDER BY v.number DESC LIMIT 1
$$;

-- ------------------------------------------------------------------ which verdict covers
-- What the ledger can say at little cost against a verdict that covers a window. That window's row is locked: its facts are at
-- the revision that was measured, and whoever takes its place comes before, and is seen here, or after, and sees its gate.
CREATE FUNCTION verdict_covers_window(new verdict) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    me record;
    w record;
    failed record;
    why text;
    said jsonb := new.body -> 'covers';
BEGIN
    SELECT x.reruns, x.contract_id, y.kind INTO me FROM run_window x JOIN rerun y ON y.win = x.id WHERE x.id = new.win;
    IF new.covers IS NULL OR said IS NULL OR new.state <> 'PASS' OR new.waived OR me.reruns IS DISTINCT FROM new.covers
       OR me.kind IS DISTINCT FROM 'replay' THEN
        PERFORM refuse('verdict_covers_window', format('#%s is no PASS of a replay of window %s', new.number, new.covers));
    END IF;
    SELECT x.* INTO w FROM run_window x WHERE x.id = new.covers FOR UPDATE;
    IF said -> 'revision' IS DISTINCT FROM to_jsonb(w.revision) THEN
        PERFORM refuse('verdict_covers_revision',
                       format('window %s stands at revision %s, measured was %s', w.number, w.revision, said -> 'revision'));
    END IF;
    SELECT v.state, v.body INTO failed FROM verdict v WHERE v.win = w.id ORDER BY v.number DESC LIMIT 1;
    IF failed.state IS DISTINCT FROM 'FAIL' THEN
        why := 'the window has not failed';
    ELSIF failed.body -> 'waivers' <> '[]' OR EXISTS (
          SELECT FROM jsonb_array_elements(failed.body -> 'checks') x
           WHERE x ->> 'severity' = 'FAIL' AND x ->> 'check' NOT IN ('ACCOUNTED', 'COMMITTED')) THEN
        why := 'it failed by what no reading again mends';
    ELSIF me.contract_id <> w.contract_id THEN
        why := 'the rerun is under another contract';
    ELSIF place_taken_by(w.id) IS NOT NULL THEN
        why := format('%s takes its place', place_taken_by(w.id));
    ELSIF NOT EXISTS (SELECT FROM window_range g JOIN source s ON s.id = g.source_id AND s.role = 'inbox' WHERE g.win = w.id)
       OR EXISTS (SELECT FROM window_range g JOIN source s ON s.id = g.source_id AND s.role = 'inbox'
                   WHERE g.win = w.id AND g.end_offset IS DISTINCT FROM g.start_offset
                     AND NOT EXISTS (SELECT FROM window_range m JOIN origin o ON o.source_id = m.source_id
                                      WHERE m.win = new.win AND s.kind = 'topic' AND o.origin_source_id = g.source_id
                                        AND (o.start_offset, o.end_offset) = (g.start_offset, g.end_offset)
                                        AND m.end_offset = o.end_offset - o.start_offset)) THEN
        why := 'a part of it was not read again';
    ELSIF EXISTS (SELECT FROM contradiction c JOIN run_window x ON x.id = c.win WHERE w.id IN (x.id, x.reruns)) THEN
        why := 'the bus contradicts it';
    ELSIF EXISTS (SELECT FROM run_window x JOIN batch b ON b.win = x.id AND b.admitted > 0
                   WHERE x.reruns = w.id AND x.id <> new.win
                     AND (SELECT v.state FROM verdict v WHERE v.win = x.id ORDER BY v.number DESC LIMIT 1) IS DISTINCT FROM 'PASS') THEN
        why := 'events came into another rerun of it that has not passed';
    ELSIF EXISTS (SELECT FROM batch b JOIN publish_queue q ON q.batch_id = b.id WHERE b.win = w.id)
       OR EXISTS (SELECT FROM batch b JOIN attempt_batch ab ON ab.batch_id = b.id AND ab.live
                    JOIN attempt a ON a.id = ab.attempt_id AND a.state <> 'ACKED' WHERE b.win = w.id) THEN
        why := 'a publish is not settled';
    ELSIF said IS DISTINCT FROM (
          SELECT jsonb_build_object('window', w.number, 'revision', w.revision, 'events', n.events, 'referred', n.events,
                                    'effects', n.events, 'places', n.events, 'batches', n.batches)
            FROM (SELECT coalesce(sum(b.admitted), 0) AS events, count(*) AS batches FROM batch b WHERE b.win = w.id) n) THEN
        why := format('it counts otherwise than %s', said);
    END IF;
    IF why IS NOT NULL THEN
        PERFORM refuse('verdict_covers_window', format('window %s is not covered: %s', w.number, why));
    END IF;
END $$;

-- As before (verdicts.sql), and what it covers.
CREATE OR REPLACE FUNCTION verdict_insertion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM verdict_of_its_window(NEW);
    PERFORM verdict_says_its_row(NEW);
    PERFORM verdict_checks(NEW);
    IF NEW.state = 'PASS' THEN
        PERFORM verdict_pass_earned(NEW);
    END IF;
    IF NEW.covers IS NOT NULL OR NEW.body ? 'covers' THEN
        PERFORM verdict_covers_window(NEW);
    END IF;
    RETURN NEW;
END $$;

-- ------------------------------------------------------------------ a gate that stands on a rerun
-- As before (gate_lease.sql); and what a rerun opened is bound to that rerun's own gate, as to a context's: how far its lease
-- goes, and why it gives nothing any more.
CREATE OR REPLACE VIEW window_context AS
SELECT p.win, c.verdict, c.pinned_win, c.checked_at, c.open_until, CASE WHEN c.fallen OR c.checked_at IS NULL THEN left(c.why, 2000) END AS fallen
  FROM (SELECT DISTINCT win FROM window_pin) p CROSS JOIN LATERAL context_standing(p.win) c
UNION ALL
SELECT p.win, c.name, c.rerun_win, g.checked_at, g.open_until,
       CASE WHEN NOT c.stands THEN format('%s does not stand any more', c.name)
            WHEN g.win IS NULL OR g.verdict_id <> c.verdict_id THEN format('the gate of %s was never opened', c.name)
            WHEN g.shut_why IS NOT NULL THEN left(format('the gate of %s is shut: %s', c.name, g.shut_why), 2000) END
  FROM (SELECT DISTINCT covers AS win FROM verdict WHERE covers IS NOT NULL) p CROSS JOIN LATERAL covering(p.win) c
  LEFT JOIN gate_open g ON g.win = c.rerun_win;

-- I10: as before (reruns.sql), and on a verdict that covers the window where its own is FAIL.
CREATE OR REPLACE FUNCTION gate_transition() RETURNS trigger LANGUAGE plpgsql AS $$
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
    IF NEW.verdict_id IS DISTINCT FROM gate_verdict(NEW.win) THEN
        PERFORM refuse('gate_follows_pass', format('window %s has no standing PASS %s', NEW.win, NEW.verdict_id));
    END IF;
    IF superseded_by(NEW.win) IS NOT NULL THEN
        PERFORM refuse('gate_superseded', format('window %s is superseded by %s', NEW.win, superseded_by(NEW.win)));
    END IF;
    IF EXISTS (SELECT FROM contradiction c WHERE c.win = NEW.win) THEN
        PERFORM refuse('gate_follows_pass', format('window %s has a contradiction', NEW.win));
    END IF;
    IF NEW.open_until > clock_timestamp() AND (TG_OP = 'INSERT' OR NEW.open_until > OLD.open_until) THEN
        IF NEW.open_until > context_bound(NEW.win) THEN
            PERFORM refuse('gate_follows_context', format('window %s would be open longer than its context', NEW.win));
        END IF;
        IF NEW.open_until > waiver_bound(NEW.win) THEN
            PERFORM refuse('gate_follows_waiver', format('window %s would be open longer than it is waived', NEW.win));
        END IF;
    END IF;
    RETURN NEW;
END $$;

-- ------------------------------------------------------------------ what shuts it
-- As before (verdicts.sql); and what a rerun opened is shut with that rerun's gate.
CREATE OR REPLACE FUNCTION context_falls(fallen_win integer, what text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    built integer[] := ARRAY(SELECT win FROM window_pin WHERE pinned_win = fallen_win);
    opened integer[] := ARRAY(SELECT DISTINCT covers FROM verdict WHERE win = fallen_win AND covers IS NOT NULL);
BEGIN
    PERFORM FROM run_window WHERE id = ANY(built || opened) ORDER BY id FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    UPDATE run_window SET revision = revision + 1 WHERE state = 'CUT' AND id = ANY(built || opened);
    UPDATE gate_open g SET open_until = least(g.open_until, clock_timestamp()), checked_at = clock_timestamp(), shut_why = what
     WHERE g.shut_why IS NULL
       AND (g.win = ANY(built)
            OR g.win = ANY(opened) AND g.verdict_id IN (SELECT v.id FROM verdict v WHERE v.win = fallen_win));
END $$;

-- Shuts a window that one of its reruns opened, for what came of that or of another one since.
CREATE FUNCTION covered_falls(of_win integer, what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM run_window WHERE id = of_win FOR UPDATE;
    UPDATE gate_open g SET open_until = least(g.open_until, clock_timestamp()), checked_at = clock_timestamp(), shut_why = what
     WHERE g.win = of_win AND g.shut_why IS NULL
       AND EXISTS (SELECT FROM verdict v WHERE v.id = g.verdict_id AND v.covers = g.win);
END $$;

-- As before (words.sql); and a rerun that fails shuts what an earlier one opened.
CREATE OR REPLACE FUNCTION verdict_falls() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    name text := (SELECT format('%s/%s#%s', s.name, r.name, NEW.number)
                    FROM run r JOIN stream s ON s.id = r.stream_id WHERE r.id = NEW.run_id);
BEGIN
    PERFORM context_falls(NEW.win, format('%s is %s', name, NEW.state));
    IF NEW.state = 'FAIL' THEN
        PERFORM covered_falls(w.reruns, format('rerun %s of it failed: %s', w.rerun, name))
           FROM run_window w WHERE w.id = NEW.win AND w.reruns IS NOT NULL;
    END IF;
    RETURN NULL;
END $$;

-- As before (gate_lease.sql); and a window that a rerun opened is shut by a contradiction of any of its reruns.
CREATE OR REPLACE FUNCTION contradiction_shuts() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE wins integer[]; firsts integer[];
BEGIN
    SELECT array_agg(DISTINCT win) INTO wins FROM fresh;
    IF wins IS NULL THEN
        RETURN NULL;
    END IF;
    firsts := ARRAY(SELECT DISTINCT w.reruns FROM run_window w WHERE w.id = ANY(wins) AND w.reruns IS NOT NULL ORDER BY 1);
    PERFORM touch_windows(wins || firsts);
    UPDATE gate_open g
       SET open_until = least(g.open_until, now_.at), checked_at = now_.at,
           shut_why = CASE c.n WHEN 1 THEN '1 settled publish' ELSE c.n || ' settled publishes' END
                      || ' contradicted by the bus'
      FROM (SELECT win, count(DISTINCT attempt_id) AS n FROM contradiction WHERE win = ANY(wins) GROUP BY win) c,
           (SELECT clock_timestamp() AS at OFFSET 0) now_
     WHERE g.win = c.win AND g.shut_why IS NULL;
    PERFORM covered_falls(f.win, 'a rerun of it is contradicted by the bus') FROM unnest(firsts) f(win);
    RETURN NULL;
END $$;

-- ------------------------------------------------------------------ in no moment are both open
-- As before (places.sql); nor is a place taken that a rerun keeps.
CREATE OR REPLACE FUNCTION run_place_is_free() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM run_window x WHERE x.reruns = NEW.supersedes AND x.state = 'OPEN')
       OR EXISTS (SELECT FROM place_leaves_out(NEW.supersedes) o WHERE o.by_http + o.redriven > 0) THEN
        PERFORM refuse('run_place_is_free', format('run %s would be without events of window %s', NEW.name, NEW.supersedes));
    END IF;
    IF place_taken_by(NEW.supersedes) IS NOT NULL THEN
        PERFORM refuse('run_place_is_free', format('%s takes the place of window %s', place_taken_by(NEW.supersedes), NEW.supersedes));
    END IF;
    IF EXISTS (SELECT FROM gate_open g JOIN verdict v ON v.id = g.verdict_id AND v.covers = g.win
                WHERE g.win = NEW.supersedes AND g.shut_why IS NULL) THEN
        PERFORM refuse('run_place_is_free', format('a rerun of window %s has opened it', NEW.supersedes));
    END IF;
    RETURN NEW;
END $$;
