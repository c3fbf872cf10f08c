-- Effects are written again by a running plan that proves their window, one step after it read a record that refers to each.

CREATE FUNCTION mended_of_its_plan() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    odd record;
BEGIN
    SELECT a.win, a.source_id INTO odd
      FROM (SELECT DISTINCT source_id, win, run_id FROM added) a
     WHERE NOT EXISTS (SELECT FROM window_range g JOIN rerun x ON x.win = g.win
                         JOIN plan p ON p.id = x.plan AND p.kind = 'replay' AND p.state = 'RUNNING' AND p.binds -> 'asked' ->> 'mode' = 'prove'
                         JOIN run_window w ON w.id = g.win AND w.state = 'OPEN'
                        WHERE g.source_id = a.source_id AND (w.reruns, w.run_id) = (a.win, a.run_id));
    IF FOUND THEN
        PERFORM refuse('mended_of_its_plan', format('no plan that proves window %s reads source %s now', odd.win, odd.source_id));
    END IF;
    SELECT a.win, unmendable(a.win) AS why INTO odd FROM (SELECT DISTINCT win FROM added) a WHERE unmendable(a.win) IS NOT NULL;
    IF FOUND THEN
        PERFORM refuse('mended_of_its_window', format('no effect of window %s is written again: %s', odd.win, odd.why));
    END IF;
    -- a record that refers to the event, and the effect where the lane read it
    SELECT a.source_id, a."offset" INTO odd
      FROM added a
      LEFT JOIN LATERAL (SELECT e.source_id, e."offset" FROM event e
                          WHERE e.run_id = a.run_id AND e.identity = a.identity AND e.win = a.win LIMIT 1) e ON true
      LEFT JOIN LATERAL (SELECT x.bus_source_id, x.bus_offset, x.bus_batch_id FROM effect x
                          WHERE x.run_id = a.run_id AND x.identity = a.identity AND x.win = a.win LIMIT 1) x ON true
     WHERE e.source_id IS NULL OR x.bus_source_id IS NULL
        OR NOT EXISTS (SELECT FROM receipt t WHERE t.source_id = a.source_id AND t."offset" = a."offset" AND t.decision = 2
                          AND t.identity = a.identity)
        OR a.effect AND NOT EXISTS (
               SELECT FROM place p JOIN attempt y ON y.id = p.attempt_id AND y.state IN ('ACKED', 'PARTIAL')
                 JOIN bus_batch b ON b.id = x.bus_batch_id AND b.source_id = p.bus_source_id AND b.from_offset <= p.bus_offset
                  AND b.to_offset > p.bus_offset
                WHERE p.source_id = e.source_id AND p."offset" = e."offset"
                  AND (p.bus_source_id, p.bus_offset) = (x.bus_source_id, x.bus_offset))
     LIMIT 1;
    IF FOUND THEN
        PERFORM refuse('mended_as_it_was', format('the record at %s@%s refers to no effect that stands as it was', odd.source_id, odd."offset"));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER mended_of_its_plan AFTER INSERT ON mended_effect REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION mended_of_its_plan();
