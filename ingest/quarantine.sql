-- name: resolve
-- Only open ones; whoever comes second updates nothing and is told so. One statement, locked in id order.
WITH chosen AS (
    SELECT id FROM quarantine_item WHERE id = ANY(%(ids)s::bigint[]) AND state = 'OPEN' ORDER BY id FOR UPDATE)
UPDATE quarantine_item q
   SET state = 'RESOLVED', resolution = %(resolution)s, resolved_by = %(actor)s, resolved_reason = %(reason)s,
       resolved_at = clock_timestamp()
  FROM chosen, run r, stream s
 WHERE q.id = chosen.id AND r.id = q.run_id AND s.id = r.stream_id
RETURNING q.id, q.win, q.reason, r.name AS run_name, s.name AS stream

-- name: resolve_group
-- The next part of a group's open items, up to the last one that was shown, in id order.
WITH chosen AS (
    SELECT q.id FROM quarantine_item q JOIN run_window w ON w.id = q.win
     WHERE w.run_id = %(run)s AND q.reason = %(code)s AND q.state = 'OPEN' AND q.id <= %(upto)s
     ORDER BY q.id LIMIT %(most)s FOR UPDATE OF q)
UPDATE quarantine_item q
   SET state = 'RESOLVED', resolution = %(resolution)s, resolved_by = %(actor)s, resolved_reason = %(reason)s,
       resolved_at = clock_timestamp()
  FROM chosen, run r, stream s
 WHERE q.id = chosen.id AND r.id = q.run_id AND s.id = r.stream_id
RETURNING q.id, q.win, q.reason, r.name AS run_name, s.name AS stream

-- name: reruns
-- Reruns whose plan sent these items through admission again, and those of the same run that read an inbox again: which of its
-- records these items are, their next look counts.
SELECT g.win FROM redrive d JOIN window_range g ON g.source_id = d.source_id WHERE d.item_id = ANY(%(ids)s::bigint[])
UNION
SELECT w.id
  FROM quarantine_item q JOIN run_window w ON w.run_id = q.run_id AND w.reruns IS NOT NULL
  JOIN window_range g ON g.win = w.id JOIN origin o ON o.source_id = g.source_id
 WHERE q.id = ANY(%(ids)s::bigint[])

-- name: lock_windows
-- Two people who discard at the same time count one after the other, so that both cannot stay below one bound.
SELECT id FROM run_window WHERE id = ANY(%(windows)s::integer[]) ORDER BY id FOR NO KEY UPDATE

-- name: discarded
-- By window: how many items are discarded, and the contract that bounds them.
SELECT w.id AS win, w.number, w.contract_id, r.name AS run_name, s.name AS stream,
       (SELECT count(*) FROM quarantine_item q WHERE q.win = w.id AND q.resolution = 'DISCARDED') AS discarded
  FROM run_window w JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id
 WHERE w.id = ANY(%(windows)s::integer[]) ORDER BY w.id

-- name: open_of_items
-- By window: how many of these items are open.
SELECT win, count(*) AS items FROM quarantine_item
 WHERE id = ANY(%(ids)s::bigint[]) AND state = 'OPEN' GROUP BY win ORDER BY win

-- name: open_of_group
-- By window: how many open items a group has, up to the last one that was shown.
SELECT q.win, count(*) AS items
  FROM quarantine_item q JOIN run_window w ON w.id = q.win
 WHERE w.run_id = %(run)s AND q.reason = %(code)s AND q.state = 'OPEN' AND q.id <= %(upto)s GROUP BY q.win ORDER BY q.win

-- name: states
-- What state each of these items is in, for the sentence that refuses to resolve them.
SELECT id, state FROM quarantine_item WHERE id = ANY(%(ids)s::bigint[])
