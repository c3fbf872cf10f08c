-- name: of_plan
-- The window that a plan fills, with its sources, where each stands, and what each reads again.
SELECT w.id AS win, w.number, w.rerun, w.contract_id, w.run_id, r.name AS run_name, r.stream_id, s.name AS stream, g.source_id,
       p.next_offset, o.origin_source_id, o.start_offset AS origin_start, o.end_offset AS origin_end
  FROM rerun x JOIN run_window w ON w.id = x.win JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id
  JOIN window_range g ON g.win = w.id JOIN source c ON c.id = g.source_id
  JOIN position p ON p.lane = 'admission' AND p.source_id = g.source_id LEFT JOIN origin o ON o.source_id = g.source_id
 WHERE x.plan = %(plan)s ORDER BY c.partition

-- name: lock_first
-- The window that is rerun: of two plans that rerun it, one numbers its rerun first. And its run: whoever opens one that looks
-- back on it comes before or after.
SELECT w.id, w.number, w.run_id, r.stream_id, r.name AS run_name, s.name AS stream
  FROM run_window w JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id
 WHERE w.id = %(win)s FOR NO KEY UPDATE OF w, r

-- name: later_run
-- The run that followed this one in its stream.
SELECT l.contract_id, l.name, s.name AS stream
  FROM run r JOIN run l ON l.stream_id = r.stream_id AND l.id > r.id AND l.supersedes IS NULL JOIN stream s ON s.id = l.stream_id
 WHERE r.id = %(run)s ORDER BY l.id LIMIT 1

-- name: place
-- Who takes the window's place, which rerun of it a plan still fills, and how many events a run in its place would be without.
SELECT place_taken_by(%(win)s) AS taken_by, o.by_http, o.redriven,
       (SELECT min(x.rerun) FROM run_window x WHERE x.reruns = %(win)s AND x.state = 'OPEN') AS open_rerun
  FROM place_leaves_out(%(win)s) o

-- name: insert_window
-- A rerun has the number of the window that it reruns, and counts for itself.
INSERT INTO run_window (run_id, number, contract_id, state, revision, by_plan, reruns, rerun)
SELECT w.run_id, w.number, %(contract)s, 'OPEN', 0, true, w.id,
       1 + coalesce((SELECT max(e.rerun) FROM run_window e WHERE e.reruns = w.id), 0)
  FROM run_window w WHERE w.id = %(win)s
RETURNING id

-- name: insert_fresh_run
-- A run that takes the place of a window. It is cut from its beginning: no inbox is bound to it.
INSERT INTO run (stream_id, name, contract_id, state, opened_by, cut_at, supersedes)
SELECT r.stream_id, %(name)s, %(contract)s, 'CUT', %(actor)s, clock_timestamp(), w.id
  FROM run_window w JOIN run r ON r.id = w.run_id WHERE w.id = %(win)s
RETURNING id

-- name: insert_fresh_window
-- Its only window, which the plan fills.
INSERT INTO run_window (run_id, number, contract_id, state, revision, by_plan)
VALUES (%(run)s, 1, %(contract)s, 'OPEN', 0, true) RETURNING id

-- name: take_over_totals
-- What the producer declared of the window is declared of what takes its place.
INSERT INTO control_total (win, event_class, declared, declared_by)
SELECT DISTINCT ON (event_class) %(win)s, event_class, declared, declared_by
  FROM control_total WHERE win = %(from)s ORDER BY event_class, id DESC

-- name: insert_rerun
-- Whose rerun it is. The trigger rerun_of_its_plan holds it against the plan.
INSERT INTO rerun (win, plan, kind, requested_by, approved_by, reason, out_of_order)
VALUES (%(win)s, %(plan)s, %(kind)s, %(requested_by)s, %(approved_by)s, %(reason)s, %(out_of_order)s)

-- name: bus_partitions
-- The partitions of this incarnation of the bus that an effects lane of the stream reads.
SELECT s.partition FROM source s JOIN position p ON p.source_id = s.id AND p.lane = 'effects'
 WHERE s.stream_id = %(stream)s AND s.role = 'bus' AND s.cluster_id = %(cluster_id)s AND s.topic_id = %(topic_id)s

-- name: insert_source
-- It has the installation's id, the plan's number and the digest of what that binds where a topic's source has the topic's id.
INSERT INTO source (stream_id, role, kind, cluster_id, topic_id, topic, partition)
SELECT %(stream)s, 'inbox', 'plan', 'plan', i.install_id::text || '/' || %(plan)s::bigint || '/' || %(binds)s::text,
       'plan ' || %(plan)s::bigint, %(index)s
  FROM (SELECT install_id FROM install ORDER BY id DESC LIMIT 1) i
RETURNING id

-- name: bind
-- Everything of the plan's source belongs to its window. The plan owns it, under the one fence that it has, until it is over.
UPDATE position SET win = %(win)s, owner = %(owner)s, fence = %(fence)s WHERE lane = 'admission' AND source_id = %(source)s

-- name: insert_origin
-- What a plan's source reads again. The trigger origin_of_its_plan holds it against the plan.
INSERT INTO origin (source_id, origin_source_id, start_offset, end_offset)
VALUES (%(source)s, %(origin)s, %(start)s, %(end)s)

-- name: cut_position
-- A plan's cut is where it stands: nothing lies behind it, whatever is left of the plan.
UPDATE position SET cut = next_offset, owner = NULL WHERE lane = 'admission' AND source_id = %(source)s AND cut IS NULL RETURNING next_offset

-- name: end_range
-- Where the rerun ends. It is written once.
UPDATE window_range SET end_offset = %(end)s WHERE win = %(win)s AND source_id = %(source)s AND end_offset IS NULL

-- name: cut_window
-- The rerun is cut, and waits for its verdict.
UPDATE run_window SET state = 'CUT', cut_at = clock_timestamp(), revision = revision + 1 WHERE id = %(win)s AND state = 'OPEN'

-- name: bus_of_rerun
-- The bus partitions of the rerun's basis' topic that effects lanes read.
SELECT s.id AS source_id, s.partition
  FROM run_window w JOIN run r ON r.id = w.run_id JOIN source s ON s.stream_id = r.stream_id AND s.role = 'bus'
  JOIN position p ON p.source_id = s.id AND p.lane = 'effects'
 WHERE w.id = %(win)s AND s.cluster_id = %(cluster_id)s AND s.topic_id = %(topic_id)s ORDER BY s.id

-- name: insert_ends
-- It is written once: a second judge's comes too late and changes nothing.
INSERT INTO rerun_end (win, source_id, end_offset)
SELECT %(win)s, * FROM unnest(%(sources)s::integer[], %(ends)s::bigint[]) ON CONFLICT DO NOTHING
