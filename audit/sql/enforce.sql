-- name: gates
-- Gates that stand on a PASS and were not shut, those whose lease has run out included: Kafka may answer again.
SELECT g.win, g.verdict_id, g.open_until, clock_timestamp() - g.checked_at AS age, w.number, w.contract_id, r.run_id,
       s.id AS stream_id, s.name AS stream, s.name || '/' || r.run_id || '#' || v.number AS verdict,
       (SELECT count(DISTINCT c.attempt_id) FROM contradiction c WHERE c.win = g.win) AS contradictions
  FROM gate_open g
  JOIN verdict v ON v.id = g.verdict_id
  JOIN run_window w ON w.id = g.win JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id
 WHERE g.shut_why IS NULL
 ORDER BY g.win

-- name: ranges
SELECT s.role, s.kind, s.topic, s.partition, r.start_offset, r.end_offset
  FROM window_range r JOIN source s ON s.id = r.source_id
 WHERE r.win = %(win)s AND s.kind = 'topic' AND r.end_offset IS NOT NULL

-- name: extend
UPDATE gate_open SET open_until = clock_timestamp() + %(lease)s, checked_at = clock_timestamp()
 WHERE win = %(win)s AND verdict_id = %(verdict)s AND shut_why IS NULL RETURNING win

-- name: shut
UPDATE gate_open SET open_until = least(open_until, clock_timestamp()), checked_at = clock_timestamp(), shut_why = %(why)s
 WHERE win = %(win)s AND shut_why IS NULL RETURNING win

-- name: end_readers
-- A reader's statement that began before the gate shut still sees what it saw: its backend is ended.
SELECT count(*) FILTER (WHERE end_reader(a.pid)) AS ended
  FROM pg_stat_activity a
 WHERE a.datname = current_database() AND a.usesysid IS NOT NULL AND a.xact_start IS NOT NULL
   AND pg_has_role(a.usesysid, 'passgate_reader', 'MEMBER')

-- name: looked
INSERT INTO enforcement (stream_id, looked_at, outcome) VALUES (%(stream)s, clock_timestamp(), %(outcome)s)
ON CONFLICT (stream_id) DO UPDATE SET looked_at = excluded.looked_at, outcome = excluded.outcome

-- name: run_gates
-- Every window of a run (or one of them) with its newest verdict and its gate's row.
SELECT w.number, r.state AS run_state, v.state, v.body, g.open_until, g.checked_at, g.shut_why, clock_timestamp() AS now,
       s.name || '/' || r.run_id || '#' || v.number AS verdict,
       (SELECT s.name || '/' || r.run_id || '#' || gv.number FROM verdict gv WHERE gv.id = g.verdict_id) AS gate_verdict
  FROM run r JOIN stream s ON s.id = r.stream_id JOIN run_window w ON w.run_id = r.id
  LEFT JOIN LATERAL (SELECT number, state, body FROM verdict WHERE win = w.id ORDER BY number DESC LIMIT 1) v ON true
  LEFT JOIN gate_open g ON g.win = w.id
 WHERE s.name = %(stream)s AND r.run_id = %(run_id)s AND (%(window)s::integer IS NULL OR w.number = %(window)s)
 ORDER BY w.number

-- name: log_decision
INSERT INTO gate_decision (who, stream, run_id, window_number, status, code, verdict)
VALUES (%(who)s, %(stream)s, %(run_id)s, %(window)s, %(status)s, %(code)s, %(verdict)s)
