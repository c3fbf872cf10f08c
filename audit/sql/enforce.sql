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

-- name: bases
SELECT win, generation, facts FROM basis WHERE win = ANY(%(wins)s) ORDER BY win, generation

-- name: ranges
SELECT r.win, s.role, s.kind, s.topic, s.partition, r.start_offset, r.end_offset
  FROM window_range r JOIN source s ON s.id = r.source_id
 WHERE r.win = ANY(%(wins)s) AND s.kind = 'topic' AND r.end_offset IS NOT NULL

-- name: extend
-- All gates of one look at once, without those that gate_transition would refuse, for it would refuse the statement.
UPDATE gate_open g SET open_until = clock_timestamp() + x.lease, checked_at = clock_timestamp()
  FROM unnest(%(wins)s::integer[], %(verdicts)s::bigint[], %(leases)s::interval[]) AS x(win, verdict, lease)
 WHERE g.win = x.win AND g.verdict_id = x.verdict AND g.shut_why IS NULL
   AND x.verdict = (SELECT v.id FROM verdict v WHERE v.win = g.win ORDER BY v.number DESC LIMIT 1)
   AND NOT EXISTS (SELECT FROM contradiction c WHERE c.win = g.win)
RETURNING g.win

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
INSERT INTO enforcement (stream_id, looked_at, outcome)
SELECT stream, clock_timestamp(), outcome FROM unnest(%(streams)s::bigint[], %(outcomes)s::text[]) AS x(stream, outcome)
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
