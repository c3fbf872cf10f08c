-- name: lock_window
SELECT w.id, w.state, r.run_id, s.id AS stream_id, s.name AS stream
  FROM run_window w JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id
 WHERE w.id = %(win)s FOR UPDATE OF w
