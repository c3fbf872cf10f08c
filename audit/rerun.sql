-- name: of_plan
-- A plan's rerun, with its source and where that stands.
SELECT w.id AS win, w.number, w.rerun, w.contract_id, w.run_id, r.name AS run_name, r.stream_id, s.name AS stream, g.source_id,
       p.next_offset
  FROM rerun x JOIN run_window w ON w.id = x.win JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id
  JOIN window_range g ON g.win = w.id JOIN position p ON p.lane = 'admission' AND p.source_id = g.source_id
 WHERE x.plan = %(plan)s

-- name: lock_first
-- The window that is rerun: of two plans that rerun it, one numbers its rerun first.
SELECT w.id, r.stream_id, r.name AS run_name, s.name AS stream
  FROM run_window w JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id
 WHERE w.id = %(win)s FOR NO KEY UPDATE OF w

-- name: insert_window
-- A rerun has the number of the window that it reruns, and counts for itself.
INSERT INTO run_window (run_id, number, contract_id, state, revision, reruns, rerun)
SELECT w.run_id, w.number, %(contract)s, 'OPEN', 0, w.id,
       1 + coalesce((SELECT max(e.rerun) FROM run_window e WHERE e.reruns = w.id), 0)
  FROM run_window w WHERE w.id = %(win)s
RETURNING id

-- name: insert_rerun
-- Whose rerun it is. The trigger rerun_of_its_plan holds it against the plan.
INSERT INTO rerun (win, plan, kind, requested_by, approved_by, reason)
VALUES (%(win)s, %(plan)s, %(kind)s, %(requested_by)s, %(approved_by)s, %(reason)s)

-- name: bus_partitions
-- The partitions of this incarnation of the bus that an effects lane of the stream reads.
SELECT s.partition FROM source s JOIN position p ON p.source_id = s.id AND p.lane = 'effects'
 WHERE s.stream_id = %(stream)s AND s.role = 'bus' AND s.cluster_id = %(cluster_id)s AND s.topic_id = %(topic_id)s

-- name: insert_source
-- It has the installation's id, the plan's number and the digest of what it binds where a topic's source has the topic's id.
INSERT INTO source (stream_id, role, kind, cluster_id, topic_id, topic, partition)
SELECT %(stream)s, 'inbox', 'plan', 'plan', i.install_id::text || '/' || %(origin)s::text, 'plan', %(plan)s FROM install i
RETURNING id

-- name: bind
-- Everything of the plan's source belongs to its rerun.
UPDATE position SET win = %(win)s WHERE lane = 'admission' AND source_id = %(source)s

-- name: cut_position
-- A plan's cut is where it stands: nothing lies behind it, whatever is left of the plan.
UPDATE position SET cut = next_offset WHERE lane = 'admission' AND source_id = %(source)s AND cut IS NULL RETURNING next_offset

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
