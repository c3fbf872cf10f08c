-- name: version
-- A version of a stream's contract.
SELECT id FROM contract WHERE stream_id = %(stream)s AND version = %(version)s

-- name: ranges
-- The window's ranges of inbox partitions.
SELECT r.source_id, r.start_offset, r.end_offset, s.role, s.kind, s.topic, s.topic_id, s.partition
  FROM window_range r JOIN source s ON s.id = r.source_id AND s.role = 'inbox' AND s.kind = 'topic'
 WHERE r.win = %(win)s AND r.end_offset IS NOT NULL ORDER BY s.id

-- name: named_alike
-- Runs of the stream that are named as fresh runs of this one are.
SELECT name FROM run WHERE stream_id = %(stream)s AND starts_with(name, %(like)s || '.r')

-- name: opened
-- Whether the plan has opened its window.
SELECT win FROM rerun WHERE plan = %(plan)s

-- name: retired
-- Logs that the plan reads again and that are gone for good.
SELECT s.topic, s.partition, t.why FROM plan_origin o JOIN source s ON s.id = o.source_id JOIN retirement t ON t.source_id = s.id
 WHERE o.plan_id = %(plan)s ORDER BY s.id

-- name: queued
-- How many events of the plan wait to be published.
SELECT coalesce(sum(q.events), 0)::bigint AS events
  FROM rerun x JOIN window_range g ON g.win = x.win JOIN publish_queue q ON q.source_id = g.source_id WHERE x.plan = %(plan)s

-- name: tally
-- What became of the plan's records so far, and of how many since a second ago.
SELECT coalesce(sum(b.admitted), 0)::bigint AS admitted, coalesce(sum(b.duplicates), 0)::bigint AS duplicates,
       coalesce(sum(b.quarantined), 0)::bigint AS quarantined,
       coalesce(sum(b.records) FILTER (WHERE b.committed_at > clock_timestamp() - interval '1 second'), 0)::bigint AS lately
  FROM rerun x JOIN batch b ON b.win = x.win WHERE x.plan = %(plan)s

-- name: mended
-- How many effects, and rows of how many that stood, were written again by the records of each of a plan's sources; no row: none was.
SELECT source_id, count(*) FILTER (WHERE effect) AS effects, count(*) FILTER (WHERE NOT effect) AS alone
  FROM mended_effect WHERE source_id = ANY(%(sources)s::integer[]) GROUP BY source_id

-- name: source
-- An inbox source by its number.
SELECT role, kind, topic, partition FROM source WHERE id = %(source)s
