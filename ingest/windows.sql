-- name: source
-- A partition of this very incarnation of a topic: another topic id is another source, and so is a log that was cut.
SELECT s.id FROM source s
 WHERE s.cluster_id = %(cluster_id)s AND s.topic_id = %(topic_id)s AND s.partition = %(partition)s
   AND s.stream_id = %(stream)s AND s.role = %(role)s
   AND NOT EXISTS (SELECT FROM retirement t WHERE t.source_id = s.id AND t.kept_to IS NOT NULL)

-- name: add_source
-- Waits for whoever is adding it; then no row comes, and `source` sees theirs (ingest/db.py, found_or_made).
INSERT INTO source (stream_id, role, kind, cluster_id, topic_id, topic, partition, incarnation)
SELECT %(stream)s, %(role)s, 'topic', %(cluster_id)s, %(topic_id)s, %(topic)s, %(partition)s, 1 + coalesce(max(s.incarnation), 0)
  FROM source s
 WHERE s.cluster_id = %(cluster_id)s AND s.topic_id = %(topic_id)s AND s.partition = %(partition)s
   AND s.stream_id = %(stream)s AND s.role = %(role)s
ON CONFLICT ON CONSTRAINT source_incarnation_unique DO NOTHING
RETURNING id

-- name: known_incarnation
-- Whether the stream has any source of this incarnation of a topic.
SELECT id FROM source
 WHERE stream_id = %(stream)s AND role = %(role)s AND cluster_id = %(cluster_id)s AND topic_id = %(topic_id)s LIMIT 1

-- name: begins
-- Where an incarnation of a partition's log begins: where the one before it was cut. Null: it is the first.
SELECT log_kept_to(o.id) AS at
  FROM source s
  JOIN source o ON (o.cluster_id, o.topic_id, o.partition, o.stream_id, o.role) = (s.cluster_id, s.topic_id, s.partition, s.stream_id, s.role)
   AND o.incarnation = s.incarnation - 1
 WHERE s.id = %(source)s

-- name: ensure_position
-- A lane begins at this offset; where it has a position already, that stands.
INSERT INTO position (lane, source_id, stream_id, next_offset) VALUES (%(lane)s, %(source)s, %(stream)s, %(start)s)
ON CONFLICT DO NOTHING

-- name: lock_position
-- A position with its cut and its windows, locked for a change of what it is bound to.
SELECT lane, source_id, next_offset, cut, win, next_win FROM position
 WHERE lane = %(lane)s AND source_id = %(source)s FOR UPDATE

-- name: bind
-- Which window a position's records belong to, up to the cut and from there on.
UPDATE position SET win = %(win)s, next_win = %(next_win)s, cut = %(cut)s
 WHERE lane = %(lane)s AND source_id = %(source)s

-- name: bindings
-- What a worker's next batch of each source belongs to. From the cut on it is next_win's; null: nobody's, stand still.
SELECT p.source_id, p.next_offset, p.cut,
       w.id AS win, w.run_id, w.contract_id, w.state AS window_state, r.name AS run_name, r.stream_id
  FROM position p
  LEFT JOIN run_window w
    ON w.id = CASE WHEN p.cut IS NOT NULL AND p.next_offset >= p.cut THEN p.next_win ELSE p.win END
  LEFT JOIN run r ON r.id = w.run_id
 WHERE p.lane = %(lane)s AND p.source_id = ANY(%(sources)s)

-- name: run_before
-- The run that an identity is looked up in as well, where the contract looks back.
SELECT p.id, p.name FROM run p WHERE p.id = run_before(%(run)s)

-- name: raise_revisions
-- Whatever changes a fact of a cut window raises its revision in its own transaction (S12). An open window's facts
-- are judged only after its cut, which locks the position rows that admission updates first; the other lanes take a
-- share lock, so that a cut under way is waited for and then seen.
WITH touched AS (
    SELECT id, state FROM run_window WHERE id = ANY(%(windows)s) ORDER BY id FOR SHARE)
UPDATE run_window SET revision = revision + 1
 WHERE id IN (SELECT id FROM touched WHERE state = 'CUT')
