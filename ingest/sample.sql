-- name: sampled_sources
-- Sources that lanes read from, of one stream or of all, without those that are retired.
SELECT DISTINCT s.id, s.stream_id, s.role, s.topic, s.topic_id, s.partition, st.name AS stream, p.next_offset
  FROM position p JOIN source s ON s.id = p.source_id JOIN stream st ON st.id = s.stream_id
 WHERE p.lane IN ('admission', 'effects') AND s.kind <> 'plan' AND (%(stream)s::text IS NULL OR st.name = %(stream)s)
   AND NOT EXISTS (SELECT FROM retirement r WHERE r.source_id = s.id)

-- name: insert_samples
-- What Kafka says of each source now, beside the position of its lane.
INSERT INTO sample (source_id, log_start, lso, hw, leader_epoch, kafka_committed, committed_state, next_offset)
SELECT * FROM unnest(%(sources)s::integer[], %(log_starts)s::bigint[], %(lsos)s::bigint[], %(hws)s::bigint[],
                     %(epochs)s::integer[], %(committed)s::bigint[], %(states)s::text[], %(nexts)s::bigint[])

-- name: forget_samples
-- Screens show hours, not days; verdicts keep snapshots of their own. The oldest first, by the index on their age.
DELETE FROM sample WHERE id IN (
    SELECT id FROM sample WHERE at < clock_timestamp() - make_interval(hours => %(hours)s) ORDER BY at LIMIT 5000)
