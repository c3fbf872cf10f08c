-- name: lock_window
SELECT w.id, w.state, r.run_id, s.id AS stream_id, s.name AS stream
  FROM run_window w JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id
 WHERE w.id = %(win)s FOR UPDATE OF w

-- name: doors
-- Sources without partitions that were bound to the window since it opened.
SELECT s.role, s.kind, s.topic, s.partition
  FROM window_range r JOIN source s ON s.id = r.source_id
 WHERE r.win = %(win)s AND s.kind = 'door' ORDER BY s.id
