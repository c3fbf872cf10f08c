-- name: followed
-- Inbox partitions of this incarnation of the topic that the stream goes on with, and where their lanes stand.
SELECT s.id AS source_id, s.topic, s.partition, p.next_offset, p.stopped_code
  FROM source s JOIN position p ON p.source_id = s.id AND p.lane = 'admission'
 WHERE s.stream_id = %(stream)s AND s.role = 'inbox' AND s.kind = 'topic'
   AND (s.cluster_id, s.topic_id) = (%(cluster_id)s, %(topic_id)s)
   AND NOT EXISTS (SELECT FROM retirement t WHERE t.source_id = s.id)
 ORDER BY s.id

-- name: received
-- The newest record below an offset that was received of a partition's log as it is known: of an earlier incarnation, what lies
-- below where that was cut.
SELECT x."offset", x.payload_digest
  FROM source s
  JOIN source o ON (o.cluster_id, o.topic_id, o.partition, o.stream_id, o.role) = (s.cluster_id, s.topic_id, s.partition, s.stream_id, s.role)
 CROSS JOIN LATERAL (SELECT r."offset", r.payload_digest FROM receipt r
                      WHERE r.source_id = o.id AND r."offset" < least(%(below)s, log_kept_to(o.id))
                      ORDER BY r."offset" DESC LIMIT 1) x
 WHERE s.id = %(source)s ORDER BY x."offset" DESC LIMIT 1

-- name: positions
-- Where these lanes stand, locked: one that went on since its log was looked at is not cut.
SELECT source_id, next_offset FROM position WHERE lane = 'admission' AND source_id = ANY(%(sources)s) ORDER BY source_id FOR UPDATE
