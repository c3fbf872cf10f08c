-- name: anchor
-- Where the newest record that a lane read ends: its position, without the holes that lie right before it. Their epochs are
-- not known, the position's is that record's.
WITH RECURSIVE back AS (
    SELECT %(next)s::bigint AS at, 0 AS n
    UNION ALL
    SELECT g.from_offset, back.n + 1
      FROM back
     CROSS JOIN LATERAL (SELECT from_offset, to_offset FROM gap
                          WHERE source_id = %(source)s AND from_offset < back.at ORDER BY from_offset DESC LIMIT 1) g
     WHERE g.to_offset = back.at AND back.n < 10000)
SELECT min(at) AS at FROM back

-- name: told
-- Where the lanes stand whose positions Kafka is told; of several incarnations of a topic, the newest. Of a log that was cut, how
-- far any of its incarnations was read: until the newest one's lane tells its own, Kafka has what the one before told.
SELECT DISTINCT ON (s.topic, s.partition) s.topic, s.topic_id, s.partition,
       max(p.next_offset) OVER (PARTITION BY s.topic, s.partition, s.cluster_id, s.topic_id) AS next_offset
  FROM source s JOIN position p ON p.source_id = s.id AND p.lane IN ('admission', 'effects')
 WHERE s.stream_id = %(stream)s AND s.kind = 'topic'
 ORDER BY s.topic, s.partition, s.id DESC

-- name: generation
-- The newest sample: written every few seconds, by any process, so an older copy of the database has an older one.
SELECT coalesce(max(id), 0) AS generation FROM sample

-- name: generation_places
-- Of each stream (or of one) the partition beside which Kafka is told the generation: of its newest bus, else of its inbox.
SELECT DISTINCT ON (s.stream_id) s.topic, s.partition
  FROM source s
 WHERE s.kind = 'topic' AND (%(stream)s::integer IS NULL OR s.stream_id = %(stream)s)
   AND NOT EXISTS (SELECT FROM retirement r WHERE r.source_id = s.id)
 ORDER BY s.stream_id, s.role, s.partition, s.id DESC
 LIMIT 5000
