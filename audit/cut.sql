-- name: window
-- A window of a run by its number, or the run's newest, with the run's state and its contract.
SELECT w.id AS win, w.number, w.state, w.contract_id, r.id AS run_id, r.name AS run_name, r.state AS run_state, s.name AS stream,
       s.id AS stream_id
  FROM run r JOIN stream s ON s.id = r.stream_id JOIN run_window w ON w.run_id = r.id
 WHERE s.name = %(stream)s AND r.name = %(run_name)s AND (%(window)s::integer IS NULL OR w.number = %(window)s)
   AND w.reruns IS NULL
 ORDER BY w.number DESC LIMIT 1

-- name: inbox_ranges
-- The window's range of each inbox source, which incarnation of the topic that is, and whether it is retired.
SELECT r.source_id, r.start_offset, r.end_offset, s.role, s.kind, s.topic, s.cluster_id, s.topic_id, s.partition,
       EXISTS (SELECT FROM retirement t WHERE t.source_id = s.id) AS retired
  FROM window_range r JOIN source s ON s.id = r.source_id
 WHERE r.win = %(win)s AND s.role = 'inbox' ORDER BY r.source_id

-- name: lock_window
-- First of the locks of a cut: doors bind their sources under a share lock on this row.
SELECT id FROM run_window WHERE id = %(win)s FOR UPDATE

-- name: lock_positions
-- Then the admission positions of all sources of the window, in source order: nothing is admitted meanwhile.
SELECT p.source_id FROM position p JOIN window_range r ON r.source_id = p.source_id AND r.win = %(win)s
 WHERE p.lane = 'admission' ORDER BY p.source_id FOR UPDATE OF p

-- name: state
-- A statement of its own after the locks: one that waited for them would still see the state from before it waited.
SELECT state FROM run_window WHERE id = %(win)s

-- name: end_range
-- Where the window ends on an inbox source. It is written once.
UPDATE window_range SET end_offset = %(end)s WHERE win = %(win)s AND source_id = %(source)s AND end_offset IS NULL

-- name: cut_window
-- The window is cut. No row: somebody else has cut it.
UPDATE run_window SET state = 'CUT', cut_at = clock_timestamp(), revision = revision + 1
 WHERE id = %(win)s AND state = 'OPEN' RETURNING id

-- name: cut_run
-- The run is cut with its last window's cut; what lies before that is still admitted.
UPDATE run SET state = 'CUT', cut_at = clock_timestamp() WHERE id = %(run)s AND state = 'OPEN'

-- name: held_since
-- Since when an open transaction holds a source's last stable offset where it is, as far as anybody has looked. It only ever
-- moves on.
SELECT coalesce(min(at), clock_timestamp()) AS at FROM sample
 WHERE source_id = %(source)s AND lso = %(lso)s AND hw > lso

-- name: insert_total
-- control_total_stands refuses it once the window is cut.
INSERT INTO control_total (win, event_class, declared, declared_by) VALUES (%(win)s, %(class)s, %(declared)s, %(actor)s)

-- name: totals
-- The declarations that count: of each class the newest.
SELECT DISTINCT ON (event_class) event_class, declared
  FROM control_total WHERE win = %(win)s ORDER BY event_class, id DESC
