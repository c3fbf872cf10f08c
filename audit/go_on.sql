-- name: window
-- A window of a run by its number, or the run's newest, with the run's state and its contract.
SELECT w.id AS win, w.number, w.state, w.contract_id, w.opened_at, r.id AS run_id, r.name AS run_name, r.state AS run_state,
       s.name AS stream, s.id AS stream_id
  FROM run r JOIN stream s ON s.id = r.stream_id JOIN run_window w ON w.run_id = r.id
 WHERE s.name = %(stream)s AND r.name = %(run_name)s AND (%(window)s::integer IS NULL OR w.number = %(window)s)
 ORDER BY w.number DESC LIMIT 1

-- name: following
-- The window that the stream went on with.
SELECT w.number, r.name AS run_name FROM run_window w JOIN run r ON r.id = w.run_id
 WHERE r.stream_id = %(stream)s AND w.id > %(win)s ORDER BY w.id LIMIT 1

-- name: open_windows
-- Windows without a cut, with what their clock goes by.
SELECT w.id AS win, w.number, w.state, w.contract_id, w.opened_at, r.id AS run_id, r.name AS run_name, r.state AS run_state,
       r.opened_at AS run_opened_at, s.name AS stream, s.id AS stream_id, clock_timestamp() AS now
  FROM run_window w JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id
 WHERE w.state = 'OPEN' AND r.state = 'OPEN' ORDER BY w.id

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

-- name: inbox_ranges
-- The window's range of each inbox source, which incarnation of the topic that is, and whether it is retired.
SELECT r.source_id, r.start_offset, r.end_offset, s.role, s.kind, s.topic, s.cluster_id, s.topic_id, s.partition,
       EXISTS (SELECT FROM retirement t WHERE t.source_id = s.id) AS retired
  FROM window_range r JOIN source s ON s.id = r.source_id
 WHERE r.win = %(win)s AND s.role = 'inbox' ORDER BY r.source_id

-- name: end_range
-- Where the window ends on an inbox source. It is written once.
UPDATE window_range SET end_offset = %(end)s WHERE win = %(win)s AND source_id = %(source)s AND end_offset IS NULL

-- name: insert_window
-- The next window, with no facts yet.
INSERT INTO run_window (run_id, number, contract_id, state, revision)
VALUES (%(run)s, %(number)s, %(contract)s, 'OPEN', 0) RETURNING id

-- name: insert_range
-- Where the next window begins on an inbox source: where the one before ends.
INSERT INTO window_range (win, source_id, start_offset) VALUES (%(win)s, %(source)s, %(start)s)

-- name: cut_window
-- The window is cut.
UPDATE run_window SET state = 'CUT', cut_at = clock_timestamp(), revision = revision + 1
 WHERE id = %(win)s AND state = 'OPEN'

-- name: cut_run
-- A run that ends by the clock: its last window is cut in this transaction.
UPDATE run SET state = 'CUT', cut_at = clock_timestamp() WHERE id = %(run)s AND state = 'OPEN'

-- name: insert_run
-- The run that the clock opens, pinned to one version of the contract.
INSERT INTO run (stream_id, name, contract_id, state, opened_by)
VALUES (%(stream)s, %(run_name)s, %(contract)s, 'OPEN', %(actor)s) RETURNING id

-- name: bus_sources
-- The bus partitions that the window's stream publishes to, of the newest incarnation it knows that is not retired.
SELECT s.id AS source_id
  FROM source s JOIN run_window w ON w.id = %(win)s JOIN run r ON r.id = w.run_id
 WHERE s.stream_id = r.stream_id AND s.role = 'bus' AND NOT EXISTS (SELECT FROM retirement t WHERE t.source_id = s.id)
   AND s.topic_id = (SELECT n.topic_id FROM source n WHERE n.stream_id = r.stream_id AND n.role = 'bus'
                      ORDER BY n.id DESC LIMIT 1)
 ORDER BY s.id

-- name: lock_open_bus_ranges
-- Whoever writes an earlier window's bus end holds these rows: either it sees this window and brings its range, or it is
-- waited for here, and the range is written with that end.
SELECT source_id FROM window_range WHERE source_id = ANY(%(sources)s) AND end_offset IS NULL ORDER BY source_id FOR UPDATE

-- name: chain_bus_ranges
-- bus_start is the earlier window's bus_end. An earlier range without end: nothing yet, its end brings this one.
INSERT INTO window_range (win, source_id, start_offset)
SELECT %(win)s, x.source, (SELECT r.end_offset FROM window_range r WHERE r.source_id = x.source ORDER BY r.win DESC LIMIT 1)
  FROM unnest(%(sources)s::integer[]) AS x(source)
 WHERE NOT EXISTS (SELECT FROM window_range r WHERE r.source_id = x.source AND r.end_offset IS NULL)
ON CONFLICT DO NOTHING

-- name: basis_seen_at
-- When what the window's basis says was seen: that of a window which took it over was seen before it opened.
SELECT n.taken_at FROM basis b JOIN snapshot n ON n.id = b.snapshot_id WHERE b.win = %(win)s ORDER BY b.generation DESC LIMIT 1

-- name: pins
-- What the window before was joined with.
SELECT context, pinned_win, verdict FROM window_pin WHERE win = %(win)s

-- name: passed
-- The newest verdict that is the newest of its window and PASS.
SELECT v.win, s.name || '/' || r.name || '#' || v.number AS name
  FROM verdict v JOIN run r ON r.id = v.run_id JOIN stream s ON s.id = r.stream_id
 WHERE s.name = %(stream)s AND v.state = 'PASS'
   AND NOT EXISTS (SELECT FROM verdict newer WHERE newer.win = v.win AND newer.number > v.number)
 ORDER BY v.id DESC LIMIT 1

-- name: insert_pins
-- What the next window's events are joined with.
INSERT INTO window_pin (win, context, pinned_win, verdict)
SELECT %(win)s, * FROM unnest(%(contexts)s::text[], %(pinned)s::integer[], %(verdicts)s::text[])
