-- name: window
SELECT run_id, number, contract_id FROM run_window WHERE id = %(win)s

-- name: open
-- The trigger gate_transition refuses this for anything but the newest PASS of that window.
INSERT INTO gate_open (win, verdict_id, open_until, checked_at)
VALUES (%(win)s, %(verdict)s, clock_timestamp() + %(lease)s, clock_timestamp())
ON CONFLICT (win) DO UPDATE
   SET verdict_id = excluded.verdict_id, open_until = excluded.open_until, checked_at = excluded.checked_at, shut_why = NULL

-- name: shut
UPDATE gate_open SET open_until = least(open_until, clock_timestamp()), checked_at = clock_timestamp(), shut_why = %(why)s
 WHERE win IN (SELECT id FROM run_window WHERE run_id = %(run)s) AND (%(win)s::integer IS NULL OR win = %(win)s)
   AND shut_why IS NULL

-- name: newest_of_run
SELECT w.id AS win, v.id AS verdict, v.state
  FROM run_window w
  LEFT JOIN LATERAL (SELECT id, state FROM verdict WHERE win = w.id ORDER BY number DESC LIMIT 1) v ON true
 WHERE w.run_id = %(run)s ORDER BY w.id
