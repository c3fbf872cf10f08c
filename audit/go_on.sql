-- name: following
-- The window that the stream went on with.
SELECT w.number, r.name AS run_name FROM run_window w JOIN run r ON r.id = w.run_id
 WHERE r.stream_id = %(stream)s AND w.id > %(win)s AND NOT w.by_plan ORDER BY w.id LIMIT 1

-- name: open_windows
-- Windows without a cut, with what their clock goes by.
SELECT w.id AS win, w.number, w.state, w.contract_id, w.opened_at, r.id AS run_id, r.name AS run_name, r.state AS run_state,
       r.opened_at AS run_opened_at, s.name AS stream, s.id AS stream_id, clock_timestamp() AS now
  FROM run_window w JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id
 WHERE w.state = 'OPEN' AND w.reruns IS NULL AND r.state = 'OPEN' ORDER BY w.id

-- name: records
-- How many records windows have so far.
SELECT b.win, sum(b.records) AS records FROM batch b WHERE b.win = ANY(%(wins)s) GROUP BY b.win

-- name: without_run
-- Streams that have no open run, with their newest contract.
SELECT s.id AS stream_id, s.name AS stream, clock_timestamp() AS now,
       (SELECT c.id FROM contract c WHERE c.stream_id = s.id ORDER BY c.version DESC LIMIT 1) AS contract_id
  FROM stream s
 WHERE EXISTS (SELECT FROM contract c WHERE c.stream_id = s.id)
   AND NOT EXISTS (SELECT FROM run r WHERE r.stream_id = s.id AND r.state = 'OPEN')
 ORDER BY s.id

-- name: names_like
-- Names of a stream's runs that begin so: one that is used up is not given again.
SELECT name FROM run WHERE stream_id = %(stream)s AND starts_with(name, %(name)s)

-- name: newest_contract
-- The version that holds from the next window, if it can be used.
SELECT id, version FROM contract WHERE stream_id = %(stream)s ORDER BY version DESC LIMIT 1

-- name: lock_window
-- First of the locks, as of a cut: doors bind their sources under a share lock on this row. Whoever writes an earlier window's
-- bus end refers to it, and is not waited for.
SELECT id FROM run_window WHERE id = %(win)s FOR NO KEY UPDATE

-- name: lock_positions
-- Then the stream's admission positions, in source order: nothing is admitted meanwhile.
SELECT source_id FROM position WHERE stream_id = %(stream)s AND lane = 'admission' ORDER BY source_id FOR UPDATE

-- name: bus_sources
-- The bus partitions that the window's stream publishes to, of the newest incarnation it knows that is not retired.
SELECT s.id AS source_id
  FROM source s JOIN run_window w ON w.id = %(win)s JOIN run r ON r.id = w.run_id
 WHERE s.stream_id = r.stream_id AND s.role = 'bus' AND NOT EXISTS (SELECT FROM retirement t WHERE t.source_id = s.id)
   AND s.topic_id = (SELECT n.topic_id FROM source n WHERE n.stream_id = r.stream_id AND n.role = 'bus'
                      ORDER BY n.id DESC LIMIT 1)
 ORDER BY s.id

-- name: basis_seen_at
-- When what the window's basis says was seen: that of a window which took it over was seen before it opened.
SELECT n.taken_at FROM basis b JOIN snapshot n ON n.id = b.snapshot_id WHERE b.win = %(win)s ORDER BY b.generation DESC LIMIT 1

-- name: pins
-- What the window before was joined with.
SELECT context, pinned_win, verdict FROM window_pin WHERE win = %(win)s
