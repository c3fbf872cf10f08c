-- name: resolve
-- Only open ones; whoever comes second updates nothing and is told so. One statement, locked in id order.
WITH chosen AS (
    SELECT id FROM quarantine_item WHERE id = ANY(%(ids)s::bigint[]) AND state = 'OPEN' ORDER BY id FOR UPDATE)
UPDATE quarantine_item q
   SET state = 'RESOLVED', resolution = %(resolution)s, resolved_by = %(actor)s, resolved_reason = %(reason)s,
       resolved_at = clock_timestamp()
  FROM chosen, run r, stream s
 WHERE q.id = chosen.id AND r.id = q.run_number AND s.id = r.stream_id
RETURNING q.id, q.win, q.reason, r.run_id, s.name AS stream

-- name: states
SELECT id, state FROM quarantine_item WHERE id = ANY(%(ids)s::bigint[])
