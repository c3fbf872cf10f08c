-- A window that failed and that a rerun opened is a context, by the verdict that covers it: what is read is joined with.

-- What stands for a window: the verdict that its gate may stand on; where there is none, its own newest. No row: it was never judged.
CREATE FUNCTION standing_verdict(of_win integer)
RETURNS TABLE (verdict_id bigint, state text, name text, covered boolean) LANGUAGE sql STABLE AS $$
    SELECT v.id, v.state, s.name || '/' || r.name || '#' || v.number, v.win <> of_win
      FROM verdict v JOIN run r ON r.id = v.run_id JOIN stream s ON s.id = r.stream_id
     WHERE v.id = coalesce(gate_verdict(of_win), (SELECT n.id FROM verdict n WHERE n.win = of_win ORDER BY n.number DESC LIMIT 1))
$$;
GRANT EXECUTE ON FUNCTION standing_verdict(integer) TO passgate_app, passgate_auditor;

-- That a gate is shut, and why: said once where the verdict is of the rerun that opened it, and whose own gate was shut first.
CREATE FUNCTION gate_is_shut(of_verdict text, why text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN starts_with(why, said.shut) THEN why ELSE said.shut || why END
      FROM (SELECT format('the gate of %s is shut: ', of_verdict) AS shut) said
$$;

-- As before (words.sql).
CREATE OR REPLACE FUNCTION gate_falls() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM context_falls(NEW.win, (SELECT gate_is_shut(s.name || '/' || r.name || '#' || v.number, NEW.shut_why)
                                      FROM verdict v JOIN run r ON r.id = v.run_id JOIN stream s ON s.id = r.stream_id
                                     WHERE v.id = NEW.verdict_id));
    RETURN NULL;
END $$;

-- Whether a verdict covers a window, and is the newest of its rerun. A later rerun may cover it, too, and takes nothing away: what is
-- read of the window by the earlier one is the same.
CREATE FUNCTION still_covers(of_verdict text, of_win integer) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM verdict v JOIN run r ON r.id = v.run_id JOIN stream s ON s.id = r.stream_id
         WHERE v.covers = of_win AND s.name || '/' || r.name || '#' || v.number = of_verdict
           AND NOT EXISTS (SELECT FROM verdict n WHERE n.win = v.win AND n.number > v.number))
$$;
GRANT EXECUTE ON FUNCTION still_covers(text, integer) TO passgate_app, passgate_auditor;

-- As before (places.sql); and of a window that a rerun opened it is the verdict of that one that is pinned.
CREATE OR REPLACE FUNCTION context_standing(of_win integer)
RETURNS TABLE (context text, pinned_win integer, verdict text, why text, fallen boolean, checked_at timestamptz,
               open_until timestamptz) LANGUAGE sql STABLE AS $$
    SELECT p.context, p.pinned_win, p.verdict,
           CASE WHEN newest.name IS NULL THEN format('%s has no verdict', p.verdict)
                WHEN newest.state <> 'PASS' THEN format('%s is %s', newest.name, newest.state)
                WHEN NOT held.so THEN format('%s is not the newest of its window, %s is', p.verdict, newest.name)
                WHEN superseded_by(p.pinned_win) IS NOT NULL THEN
                     format('%s is superseded by %s', p.verdict, superseded_by(p.pinned_win))
                WHEN g.win IS NULL OR newest.covered AND g.verdict_id <> newest.verdict_id THEN
                     format('the gate of %s was never opened', p.verdict)
                WHEN g.shut_why IS NOT NULL THEN gate_is_shut(p.verdict, g.shut_why)
                WHEN NOT lease_holds(g.checked_at, g.open_until) THEN
                     format('the gate of %s was not re-checked since %s', p.verdict,
                            to_char(g.open_until AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'))
           END,
           coalesce(newest.state <> 'PASS' OR NOT held.so OR g.shut_why IS NOT NULL
                    OR newest.covered AND g.verdict_id <> newest.verdict_id
                    OR superseded_by(p.pinned_win) IS NOT NULL, true),
           g.checked_at, g.open_until
      FROM window_pin p
      LEFT JOIN LATERAL standing_verdict(p.pinned_win) newest ON true
      LEFT JOIN LATERAL (
           SELECT newest.name = p.verdict OR newest.covered AND still_covers(p.verdict, p.pinned_win) AS so) held ON true
      LEFT JOIN gate_open g ON g.win = p.pinned_win
     WHERE p.win = of_win
$$;

-- As before (pins.sql), by the verdict that stands for the window.
CREATE OR REPLACE FUNCTION context_at(of_stream text, moment timestamptz)
RETURNS TABLE (win integer, place text, is_cut boolean, state text, verdict text, shut text, for_good boolean) LANGUAGE sql STABLE AS $$
    SELECT x.id, s.name || '/' || r.name || ' window ' || x.number, x.cut_at IS NOT NULL, newest.state, newest.name,
           CASE WHEN newest.state IS DISTINCT FROM 'PASS' THEN NULL
                WHEN g.win IS NULL OR newest.covered AND g.verdict_id <> newest.verdict_id THEN 'it was never opened'
                WHEN g.shut_why IS NOT NULL THEN g.shut_why
                WHEN NOT lease_holds(g.checked_at, g.open_until) THEN
                     format('it was not re-checked since %s', to_char(g.open_until AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')) END,
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
      LEFT JOIN LATERAL standing_verdict(x.id) newest ON true
      LEFT JOIN gate_open g ON g.win = x.id
     WHERE s.name = of_stream
$$;

-- The windows whose rows a pin names: its own, and where it is a verdict that covers that one, those of replays of it up to then into
-- which events came that were missing; such a one has passed, and its rows do not change. What a redrive brought is no row of a window
-- as a context, whatever opened that. `shut`: why not all may be read now.
CREATE FUNCTION context_windows(pinned integer, of_verdict text, OUT wins integer[], OUT shut text) LANGUAGE sql STABLE AS $$
    SELECT array_agg(x.id ORDER BY x.id),
           min(CASE WHEN x.rerun IS NOT NULL AND (g.shut_why IS NULL AND lease_holds(g.checked_at, g.open_until)) IS NOT TRUE
                    THEN format('the gate of rerun %s of its window is not open', x.rerun) END)
      FROM (SELECT pinned AS id, NULL::integer AS rerun
             UNION ALL
            SELECT r.id, r.rerun
              FROM verdict v JOIN run_window k ON k.id = v.win JOIN run_window r ON r.reruns = pinned AND r.rerun <= k.rerun
              JOIN rerun y ON y.win = r.id AND y.kind = 'replay'
             WHERE v.covers = pinned AND v.number = substring(of_verdict FROM '#([0-9]+)$')::integer
               AND EXISTS (SELECT FROM batch b WHERE b.win = r.id AND b.admitted > 0)) x
      LEFT JOIN gate_open g ON g.win = x.id
$$;
GRANT EXECUTE ON FUNCTION context_windows(integer, text) TO passgate_app, passgate_auditor;
