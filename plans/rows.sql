-- name: lock
-- A plan, held until the transaction ends: of two that act on it, one acts first and the other sees what became of it.
SELECT p.*, s.name AS stream, r.name AS run, w.number AS window, clock_timestamp() AS now
  FROM plan p JOIN stream s ON s.id = p.stream_id
  LEFT JOIN run r ON r.id = p.run_id LEFT JOIN run_window w ON w.id = p.win
 WHERE p.id = %(plan)s FOR UPDATE OF p

-- name: lock_free
-- The same where nobody holds it: another process that runs this plan is left alone.
SELECT p.*, s.name AS stream, r.name AS run, w.number AS window, clock_timestamp() AS now
  FROM plan p JOIN stream s ON s.id = p.stream_id
  LEFT JOIN run r ON r.id = p.run_id LEFT JOIN run_window w ON w.id = p.win
 WHERE p.id = %(plan)s FOR UPDATE OF p SKIP LOCKED

-- name: move
-- One step from state to state. The trigger plan_transition refuses every other step than those that are allowed, and
-- writes the plan's history.
UPDATE plan SET state = %(to)s, acted_by = %(who)s, acted_why = %(why)s WHERE id = %(plan)s AND state = %(from)s

-- name: outcomes
-- How many of a plan's items have which outcome; null: none yet.
SELECT outcome, count(*) AS n FROM plan_item WHERE plan_id = %(plan)s GROUP BY outcome

-- name: left
-- What is left to do, in order.
SELECT ordinal, subject FROM plan_item WHERE plan_id = %(plan)s AND outcome IS NULL ORDER BY ordinal LIMIT %(most)s
