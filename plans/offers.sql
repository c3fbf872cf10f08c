-- name: verdicts
-- How the window was judged last, whether that leaned on a waiver, and whether it ever failed.
SELECT coalesce(v.state, '') AS state, coalesce(v.waived, false) AS waived,
       EXISTS (SELECT FROM verdict f WHERE f.win = w.id AND f.state = 'FAIL') AS failed
  FROM run_window w
  LEFT JOIN LATERAL (SELECT state, waived FROM verdict WHERE win = w.id ORDER BY number DESC LIMIT 1) v ON true
 WHERE w.id = %(win)s

-- name: undecidable
-- Attempts with batches of the window that no scan can answer, whose log is there, and about which nobody has decided; or the one
-- that is named, if it is such a one.
SELECT a.id
  FROM attempt a JOIN source c ON c.id = a.source_id
 WHERE c.stream_id = %(stream)s AND a.state = 'UNDECIDABLE' AND a.over_at IS NULL
   AND (%(attempt)s::bigint IS NULL OR a.id = %(attempt)s)
   AND EXISTS (SELECT FROM attempt_batch ab JOIN batch b ON b.id = ab.batch_id WHERE ab.attempt_id = a.id AND b.win = %(win)s)
   AND NOT EXISTS (SELECT FROM attempt_decision d WHERE d.attempt_id = a.id)
 ORDER BY a.id LIMIT %(most)s

-- name: reasons
-- Open items of the window by reason, as a redrive of all of a reason takes them: how many, and how many of them were cut where
-- they arrived, so that nobody has the rest. Those that plans have tried often enough are left out. No more of a reason are
-- looked at than tell whether they are too many for one plan.
SELECT r.reason, count(*) AS items, count(*) FILTER (WHERE q.cut) AS cut
  FROM (SELECT DISTINCT reason FROM quarantine_item WHERE win = %(win)s AND state = 'OPEN') r
 CROSS JOIN LATERAL (
       SELECT coalesce(octet_length(q.key) >= %(kept)s OR octet_length(q.value) >= %(kept)s OR q.headers = %(unreadable)s, false) AS cut
         FROM quarantine_item q
        WHERE q.win = %(win)s AND q.reason = r.reason AND q.state = 'OPEN'
          AND (SELECT count(*) FROM redrive d WHERE d.item_id = q.id) < %(times)s
        LIMIT %(most)s) q
 GROUP BY r.reason ORDER BY items DESC, r.reason

-- name: events_among
-- How many of these items are events by now.
SELECT count(*)::integer AS events FROM quarantine_item WHERE id = ANY(%(items)s::bigint[]) AND resolution = 'REDRIVEN'

-- name: run_contract
-- The contract that a run was opened with.
SELECT contract_id FROM run WHERE id = %(run)s

-- name: taken
-- Whether another run takes the window's place.
SELECT place_taken_by(%(win)s) IS NOT NULL AS taken

-- name: place
-- Who takes the window's place, whether a plan still fills a rerun of it, and how many events a run in its place would be without.
SELECT place_taken_by(%(win)s) IS NOT NULL AS taken, o.by_http + o.redriven AS left_out,
       EXISTS (SELECT FROM run_window x WHERE x.reruns = %(win)s AND x.state = 'OPEN') AS filling
  FROM place_leaves_out(%(win)s) o

-- name: moved
-- Whether a window that lanes filled has failed, and a bus that it has a range of was created again: another one is known by now.
SELECT w.id
  FROM run_window w
 WHERE w.id = %(win)s AND w.state = 'CUT' AND NOT w.by_plan
   AND EXISTS (SELECT FROM verdict v WHERE v.win = w.id AND v.state = 'FAIL')
   AND EXISTS (SELECT FROM window_range g JOIN source s ON s.id = g.source_id AND s.role = 'bus' JOIN retirement t ON t.source_id = s.id
                 JOIN source n ON n.stream_id = s.stream_id AND n.role = 'bus' AND n.cluster_id = s.cluster_id AND n.topic = s.topic
                  AND n.topic_id <> s.topic_id AND n.id > s.id
                WHERE g.win = w.id)
