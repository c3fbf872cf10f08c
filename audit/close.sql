-- name: window_of
-- A window of a run by its number, or the run's newest; or a rerun of the one that is named.
SELECT w.id FROM run_window w JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id
 WHERE s.name = %(stream)s AND r.name = %(run_name)s AND (%(window)s::integer IS NULL OR w.number = %(window)s)
   AND w.rerun IS NOT DISTINCT FROM %(rerun)s
 ORDER BY w.number DESC LIMIT 1

-- name: failed
-- A FAIL of this window, if there is one: it stands for good.
SELECT number FROM verdict WHERE win = %(win)s AND state = 'FAIL' ORDER BY number LIMIT 1

-- name: end_seen
-- What Kafka said of the window's end, if it has said it.
SELECT id FROM snapshot WHERE win = %(win)s AND kind = 'END' LIMIT 1

-- name: lock_window
-- Two that write what Kafka said of the window's end: one after the other.
SELECT id FROM run_window WHERE id = %(win)s FOR NO KEY UPDATE

-- name: judge_row
-- Makes sure that the window has a row for `judge_alone` to lock.
INSERT INTO judging (win) VALUES (%(win)s) ON CONFLICT DO NOTHING

-- name: judge_alone
-- A row lock that ends with its transaction, and that nobody waits for: no row says that another process judges this window.
SELECT win FROM judging WHERE win = %(win)s FOR UPDATE SKIP LOCKED

-- name: ready_for_bus_end
-- The window's admission is at its cut everywhere, nothing of it waits for an attempt, every attempt is
-- settled, and every event has its place: here by counting a batch's places, at the verdict event by event. Which attempts of it
-- count is asked for once a batch: joined to each place that took 4 s for 1,000,000. A window that failed waits for nothing of that:
-- the next one begins where the bus ends now.
SELECT w.bus_end_at IS NOT NULL AS known, w.by_plan,
       w.state = 'CUT' AND (EXISTS (SELECT FROM verdict v WHERE v.win = w.id AND v.state = 'FAIL') OR (
           NOT EXISTS (SELECT FROM window_range r JOIN source s ON s.id = r.source_id AND s.role = 'inbox'
                         JOIN position p ON p.source_id = s.id AND p.lane = 'admission'
                        WHERE r.win = w.id AND (r.end_offset IS NULL OR p.next_offset < r.end_offset))
       AND NOT EXISTS (SELECT FROM batch b JOIN publish_queue q ON q.batch_id = b.id WHERE b.win = w.id)
       AND NOT EXISTS (SELECT FROM batch b JOIN attempt_batch ab ON ab.batch_id = b.id AND ab.live
                         JOIN attempt a ON a.id = ab.attempt_id AND a.state <> 'ACKED' WHERE b.win = w.id)
       AND NOT EXISTS (SELECT FROM batch b WHERE b.win = w.id AND b.admitted <> (
                              SELECT count(*) FROM place p WHERE p.source_id = b.source_id
                                 AND p."offset" >= b.from_offset AND p."offset" < b.to_offset
                                 AND p.attempt_id = ANY(ARRAY(
                                     SELECT a.id FROM attempt_batch ab JOIN attempt a ON a.id = ab.attempt_id AND a.state IN ('ACKED', 'PARTIAL')
                                      WHERE ab.batch_id = b.id)))))) AS settled
  FROM run_window w WHERE w.id = %(win)s

-- name: earlier_without_end
-- Bus ranges chain: windows of the stream before this one whose bus end is not known, the oldest first. Those of an earlier
-- incarnation of the bus have no end any more, and nothing begins there.
SELECT w.id, w.contract_id
  FROM run_window w JOIN run r ON r.id = w.run_id
  JOIN run_window mine ON mine.id = %(win)s JOIN run mr ON mr.id = mine.run_id
 WHERE r.stream_id = mr.stream_id AND w.id < mine.id AND w.state = 'CUT' AND w.bus_end_at IS NULL
   AND NOT mine.by_plan AND NOT w.by_plan
   AND EXISTS (SELECT FROM window_range e JOIN source s ON s.id = e.source_id AND s.role = 'bus'
                WHERE e.win = w.id AND e.end_offset IS NULL
                  AND s.topic_id = (SELECT n.topic_id FROM source n WHERE n.stream_id = r.stream_id AND n.role = 'bus'
                                     ORDER BY n.id DESC LIMIT 1))
 ORDER BY w.id

-- name: lock_bus_ranges
-- The window's bus ranges that have no end yet, locked in source order.
SELECT r.source_id, r.start_offset, s.topic_id, s.partition
  FROM window_range r JOIN source s ON s.id = r.source_id
 WHERE r.win = %(win)s AND s.role = 'bus' AND r.end_offset IS NULL
 ORDER BY r.source_id FOR UPDATE OF r

-- name: end_bus_range
-- Where the window ends on a bus partition. It is written once.
UPDATE window_range SET end_offset = %(end)s WHERE win = %(win)s AND source_id = %(source)s AND end_offset IS NULL

-- name: chain_next
-- The stream's next window, opened before this end was known, gets its bus range now.
INSERT INTO window_range (win, source_id, start_offset)
SELECT min(later.id), %(source)s, %(start)s
  FROM run_window later JOIN run lr ON lr.id = later.run_id
  JOIN run_window mine ON mine.id = %(win)s JOIN run mr ON mr.id = mine.run_id
 WHERE lr.stream_id = mr.stream_id AND later.id > mine.id AND NOT later.by_plan
HAVING min(later.id) IS NOT NULL
ON CONFLICT DO NOTHING

-- name: bus_end_known
-- From now on the window's end on the bus is known.
UPDATE run_window SET bus_end_at = clock_timestamp() WHERE id = %(win)s

-- name: told_unjudged
-- What the window's page says now of why it could not be judged.
SELECT unjudged_why FROM run_window WHERE id = %(win)s

-- name: unjudged
-- Why a window could not be judged, for its page; the same trouble again is no new row version. Null: it could be.
UPDATE run_window SET unjudged_why = %(why)s, unjudged_at = CASE WHEN %(why)s::text IS NOT NULL THEN clock_timestamp() END
 WHERE id = %(win)s AND unjudged_why IS DISTINCT FROM %(why)s

-- name: judged
-- A verdict's compare-and-set (S12). The revision rises, so that a second closer of the same revision finds no row.
UPDATE run_window SET revision = revision + 1, judged_revision = revision + 1
 WHERE id = %(win)s AND revision = %(revision)s AND state = 'CUT' RETURNING id

-- name: looked
-- Judged again after its PASS, and it is one: this revision needs no further look. Nothing is stored, the revision stays.
UPDATE run_window SET judged_revision = revision WHERE id = %(win)s AND revision = %(revision)s

-- name: fallen_with
-- Gates that this transaction shut since their windows were joined with this run, whatever lies between.
WITH RECURSIVE built AS (
    SELECT p.win FROM window_pin p JOIN run_window w ON w.id = p.pinned_win WHERE w.run_id = %(run)s
    UNION
    SELECT p.win FROM window_pin p JOIN built ON built.win = p.pinned_win)
SELECT g.shut_why, s.name || '/' || r.name || '#' || v.number AS verdict
  FROM built JOIN gate_open g ON g.win = built.win JOIN verdict v ON v.id = g.verdict_id
  JOIN run_window w ON w.id = g.win JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id
 WHERE g.shut_why IS NOT NULL AND g.checked_at >= transaction_timestamp() ORDER BY g.win

-- name: revision
-- The window's revision now, after somebody was faster.
SELECT revision FROM run_window WHERE id = %(win)s

-- name: next_number
-- Verdicts are numbered per run; two windows of one run meet at verdict_number_unique and one is done again.
SELECT coalesce(max(number), 0) + 1 AS number FROM verdict WHERE run_id = %(run)s

-- name: insert_verdict
-- verdict_insertion holds the row against its body and its window; verdict_facts_fresh asks again at COMMIT how old the facts are.
INSERT INTO verdict (run_id, number, win, revision, state, waived, basis_generation, contract_digest, body, digest,
                     decided_by, decided_at, measured_at, valid_until, covers)
VALUES (%(run)s, %(number)s, %(win)s, %(revision)s, %(state)s, %(waived)s, %(generation)s, %(contract)s, %(body)s,
        %(digest)s, %(actor)s, %(at)s, %(measured)s, %(valid)s, %(covers)s)
RETURNING id

-- name: close_run
-- A run is closed once it is cut and every window of it has a verdict; its reruns come when they come.
UPDATE run SET state = 'CLOSED', closed_at = clock_timestamp()
 WHERE id = %(run)s AND state = 'CUT'
   AND NOT EXISTS (SELECT FROM run_window w WHERE w.run_id = run.id AND w.reruns IS NULL
                    AND NOT EXISTS (SELECT FROM verdict v WHERE v.win = w.id))

-- name: newest_verdict
-- The window's newest verdict, as it was stored.
SELECT id, number, state, revision, decided_by, body, digest FROM verdict WHERE win = %(win)s ORDER BY number DESC LIMIT 1

-- name: unsettled
-- Windows that may want judging: open ones are only looked after, a FAIL stands for good, a PASS is looked at again where a
-- fact has changed since.
SELECT w.id, w.state, w.revision, w.judged_revision, w.contract_id, w.by_plan, newest.state AS verdict
  FROM run_window w
  LEFT JOIN LATERAL (SELECT v.state FROM verdict v WHERE v.win = w.id ORDER BY v.number DESC LIMIT 1) newest ON true
 WHERE newest.state IS DISTINCT FROM 'FAIL'
   AND (newest.state IS DISTINCT FROM 'PASS' OR w.revision <> w.judged_revision)
 ORDER BY w.id
