-- name: sources
-- Sources with a lane that reads them, and where their first window began.
SELECT c.id, c.topic, c.topic_id, c.partition, p.lane, s.name AS stream,
       (SELECT min(r.start_offset) FROM window_range r WHERE r.source_id = c.id) AS start_offset
  FROM source c JOIN stream s ON s.id = c.stream_id
  JOIN position p ON p.source_id = c.id AND p.lane IN ('admission', 'effects')
 WHERE c.kind = 'topic' AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
   AND EXISTS (SELECT FROM window_range r WHERE r.source_id = c.id)
 ORDER BY c.id

-- name: position
SELECT next_offset FROM position WHERE lane = %(lane)s AND source_id = %(source)s

-- name: receipts
SELECT "offset", payload_digest FROM receipt WHERE source_id = %(source)s AND "offset" >= %(start)s AND "offset" < %(end)s

-- name: places
-- Looked up by the attempts that the records name: places have no index by their spot on the bus.
SELECT p.bus_offset, t.identity, t.payload_digest
  FROM place p JOIN receipt t ON t.source_id = p.source_id AND t."offset" = p."offset"
 WHERE p.attempt_id = ANY(%(attempts)s::bigint[]) AND p.bus_source_id = %(bus)s
   AND p.bus_offset >= %(start)s AND p.bus_offset < %(end)s

-- name: absent
SELECT id FROM attempt WHERE id = ANY(%(attempts)s::bigint[]) AND state = 'ABSENT'

-- name: placed
SELECT count(*) AS n FROM place WHERE bus_source_id = %(bus)s AND bus_offset >= %(start)s AND bus_offset < %(end)s
