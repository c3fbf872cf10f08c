-- Contexts that are pinned when a window is cut: never to what was cut before it.

-- The window that one stands for, itself where it stands for none: a rerun's, and that whose place a fresh run takes.
CREATE FUNCTION first_window(of_win integer) RETURNS integer LANGUAGE sql STABLE AS $$
    WITH RECURSIVE up AS (
        SELECT w.id, coalesce(w.reruns, r.supersedes) AS first FROM run_window w JOIN run r ON r.id = w.run_id WHERE w.id = of_win
         UNION ALL
        SELECT w.id, coalesce(w.reruns, r.supersedes)
          FROM up JOIN run_window w ON w.id = up.first JOIN run r ON r.id = w.run_id)
    SELECT id FROM up WHERE first IS NULL
$$;

-- The window of a stream that holds a moment: the first that was cut then or later, or is open. Where a fresh run has taken its
-- place, that one's window. `shut`: why its gate is not open; `for_good`: nobody opens it again.
CREATE FUNCTION context_at(of_stream text, moment timestamptz)
RETURNS TABLE (win integer, place text, is_cut boolean, state text, verdict text, shut text, for_good boolean) LANGUAGE sql STABLE AS $$
    SELECT x.id, s.name || '/' || r.name || ' window ' || x.number, x.cut_at IS NOT NULL, newest.state, newest.name,
           CASE WHEN newest.state IS DISTINCT FROM 'PASS' THEN NULL
                WHEN g.win IS NULL THEN 'it was never opened'
                WHEN g.shut_why IS NOT NULL THEN g.shut_why
                WHEN NOT lease_holds(g.checked_at, g.open_until) THEN
                     format('it was not re-checked since %s', to_char(g.open_until AT TIME ZONE 'UTC', 'HH24:MI')) END,
           coalesce(g.shut_why IS NOT NULL, false)
      FROM stream s
     CROSS JOIN LATERAL (
           SELECT w.id FROM run_window w JOIN run h ON h.id = w.run_id
            WHERE h.stream_id = s.id AND NOT w.by_plan AND (w.cut_at IS NULL OR w.cut_at >= moment) ORDER BY w.id LIMIT 1) held
      LEFT JOIN LATERAL (
           SELECT f.id FROM run_window f JOIN run fr ON fr.id = f.run_id
            WHERE f.reruns IS NULL AND f.by_plan AND first_window(f.id) = held.id
              AND superseded_by(fr.supersedes) = s.name || '/' || fr.name
            ORDER BY f.id DESC LIMIT 1) fresh ON true
      JOIN run_window x ON x.id = coalesce(fresh.id, held.id)
      JOIN run r ON r.id = x.run_id
      LEFT JOIN LATERAL (
           SELECT v.state, s.name || '/' || r.name || '#' || v.number AS name
             FROM verdict v WHERE v.win = x.id ORDER BY v.number DESC LIMIT 1) newest ON true
      LEFT JOIN gate_open g ON g.win = x.id
     WHERE s.name = of_stream
$$;
GRANT EXECUTE ON FUNCTION first_window(integer), context_at(text, timestamptz) TO passgate_app, passgate_auditor;

-- I8: a pin of such a contract is made once the window is cut, of the context's window of that time, and of its PASS. The moment
-- lies in the window: what a clock cut is of the clock's time, all else of the cut's own.
CREATE FUNCTION pin_of_its_time() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    first run_window;
    held record;
BEGIN
    IF NOT (SELECT c.pins_at_cut FROM run_window w JOIN contract c ON c.id = w.contract_id WHERE w.id = NEW.win) THEN
        IF NEW.moment IS NOT NULL THEN
            PERFORM refuse('pin_of_its_time', format('window %s is pinned when it opens', NEW.win));
        END IF;
        RETURN NEW;
    END IF;
    SELECT * INTO first FROM run_window WHERE id = first_window(NEW.win);
    IF first.cut_at IS NULL THEN
        PERFORM refuse('pin_after_cut', format('window %s is not cut', first.id));
    END IF;
    IF NEW.moment IS NULL OR NEW.moment > first.cut_at OR NEW.moment < first.cut_at AND NEW.moment <= first.opened_at THEN
        PERFORM refuse('pin_of_its_time', format('%s is no moment of window %s', coalesce(NEW.moment::text, 'nothing'), first.id));
    END IF;
    SELECT a.* INTO held
      FROM run_window w JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id
     CROSS JOIN LATERAL context_at(s.name, NEW.moment) a
     WHERE w.id = NEW.pinned_win;
    IF held.win IS DISTINCT FROM NEW.pinned_win THEN
        PERFORM refuse('pin_of_its_time', format('%s holds %s', coalesce(held.place, 'no window'), NEW.moment));
    END IF;
    IF held.state IS DISTINCT FROM 'PASS' OR held.verdict IS DISTINCT FROM NEW.verdict OR held.shut IS NOT NULL THEN
        PERFORM refuse('pin_follows_pass', format('%s has no open gate by %s', held.place, NEW.verdict));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER window_pin_of_its_time BEFORE INSERT ON window_pin FOR EACH ROW EXECUTE FUNCTION pin_of_its_time();
