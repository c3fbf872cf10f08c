-- name: unmeasured
-- A cut window of which nobody has written down until when it is complete.
SELECT cut_at FROM run_window
 WHERE id = %(win)s AND state = 'CUT' AND NOT by_plan AND complete_until IS NULL AND complete_why IS NULL

-- name: sources
-- The inbox sources of the window, and where it was cut on each.
SELECT s.role, s.kind, s.topic, s.cluster_id, s.topic_id, s.partition, r.end_offset
  FROM window_range r JOIN source s ON s.id = r.source_id
 WHERE r.win = %(win)s AND s.role = 'inbox' AND r.end_offset IS NOT NULL ORDER BY s.id

-- name: write
-- It is written once.
UPDATE run_window SET complete_until = %(until)s, complete_why = %(why)s
 WHERE id = %(win)s AND complete_until IS NULL AND complete_why IS NULL
