-- name: others
-- Incarnations of a stream's topic that are not this one, the oldest first, each locked with its positions in source order.
SELECT s.id FROM source s
 WHERE s.stream_id = %(stream)s AND s.role = %(role)s AND s.kind = 'topic' AND s.topic = %(topic)s
   AND (s.cluster_id, s.topic_id) <> (%(cluster_id)s, %(topic_id)s)
   AND NOT EXISTS (SELECT FROM retirement r WHERE r.source_id = s.id)
 ORDER BY s.id

-- name: replaced
-- Of these sources, those whose topic has another id now on the same cluster. A broker that is behind may still name an
-- incarnation from before: an id that is older to us than the source's own says nothing.
SELECT s.id, s.topic, f.topic_id AS now_id
  FROM unnest(%(sources)s::integer[], %(topic_ids)s::text[]) AS f(source_id, topic_id)
  JOIN source s ON s.id = f.source_id
 WHERE s.cluster_id = %(cluster_id)s AND s.topic_id <> f.topic_id
   AND NOT EXISTS (SELECT FROM retirement r WHERE r.source_id = s.id)
   AND NOT EXISTS (SELECT FROM source o WHERE o.stream_id = s.stream_id AND o.role = s.role AND o.topic = s.topic
                      AND o.topic_id = f.topic_id AND o.id < s.id)
 ORDER BY s.id

-- name: lock_positions
-- Locks all positions of these sources, in the order in which everybody locks them.
SELECT source_id FROM position WHERE source_id = ANY(%(sources)s) ORDER BY source_id, lane FOR UPDATE

-- name: insert
-- Retires sources, each with its reason. Those that somebody has retired meanwhile are not returned.
INSERT INTO retirement (source_id, why, kept_to)
SELECT * FROM unnest(%(sources)s::integer[], %(whys)s::text[], %(kept)s::bigint[])
ON CONFLICT DO NOTHING RETURNING source_id

-- name: clear_stops
-- A lane that reads what is gone has nothing to say any more. Publishing from an inbox's ledger goes on.
UPDATE position SET stopped_code = NULL, stopped_detail = NULL, stopped_at = NULL, stopped_until = NULL
 WHERE source_id = ANY(%(sources)s) AND lane <> 'publish' AND stopped_code IS NOT NULL

-- name: end_attempts
-- Attempts without outcome on these logs hold their lanes no more.
UPDATE attempt SET over_at = clock_timestamp()
 WHERE state IN ('PREPARED', 'UNKNOWN', 'UNDECIDABLE') AND over_at IS NULL
   AND id IN (SELECT attempt_id FROM attempt_partition WHERE bus_source_id = ANY(%(sources)s))
RETURNING id

-- name: touched
-- Cut windows that begin or end on these logs, or on what these were before, or whose attempts went there: what they wait for
-- will not come.
SELECT r.win
  FROM source s
  JOIN source o ON (o.cluster_id, o.topic_id, o.partition, o.stream_id, o.role) = (s.cluster_id, s.topic_id, s.partition, s.stream_id, s.role)
  JOIN window_range r ON r.source_id = o.id JOIN run_window w ON w.id = r.win
 WHERE s.id = ANY(%(sources)s) AND o.incarnation <= s.incarnation AND w.state = 'CUT'
UNION
SELECT b.win FROM attempt_batch ab JOIN batch b ON b.id = ab.batch_id WHERE ab.attempt_id = ANY(%(attempts)s)

-- name: streams
-- What is retired, by its names: an act of the audit log is written for each stream.
SELECT s.id AS source_id, st.name AS stream, s.topic, s.partition
  FROM source s JOIN stream st ON st.id = s.stream_id WHERE s.id = ANY(%(sources)s) ORDER BY s.id
