-- As before (places.sql); a corrected record lies in no range either: its item's offset still has what came, and reading that again
-- sets it aside again.
CREATE OR REPLACE FUNCTION place_leaves_out(of_win integer, OUT by_http bigint, OUT redriven bigint) LANGUAGE sql STABLE AS $$
    SELECT (SELECT coalesce(sum(b.admitted), 0)::bigint
              FROM batch b JOIN source s ON s.id = b.source_id AND s.kind = 'door' WHERE b.win = of_win),
           (SELECT count(*)
              FROM run_window x JOIN window_range g ON g.win = x.id JOIN redrive d ON d.source_id = g.source_id AND d.decision = 1
              JOIN quarantine_item q ON q.id = d.item_id
             WHERE x.reruns = of_win
               AND (d.corrected_by IS NOT NULL
                    OR NOT EXISTS (SELECT FROM window_range w JOIN source s ON s.id = w.source_id AND s.kind = 'topic'
                                    WHERE w.win = of_win AND w.source_id = q.source_id
                                      AND q."offset" >= w.start_offset AND q."offset" < w.end_offset)))
$$;
