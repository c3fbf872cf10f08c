-- name: lock_window
-- The window with its run and stream, locked: its basis grows by one generation at a time.
SELECT w.id, w.state, r.name AS run_name, s.id AS stream_id, s.name AS stream
  FROM run_window w JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id
 WHERE w.id = %(win)s FOR UPDATE OF w

-- name: doors
-- Sources without partitions that were bound to the window since it opened.
SELECT s.role, s.kind, s.topic, s.partition
  FROM window_range r JOIN source s ON s.id = r.source_id
 WHERE r.win = %(win)s AND s.kind = 'door' ORDER BY s.id

-- name: known
-- What windows' bases know of their topics: the id is the first generation's, the partitions are the newest's.
SELECT first.win, of.role, first.facts #>> ARRAY['broker', of.role, 'name'] AS topic,
       first.facts #>> ARRAY['broker', of.role, 'topic_id'] AS topic_id,
       ARRAY(SELECT jsonb_object_keys(coalesce(newest.facts #> ARRAY['broker', of.role, 'partitions'],
                                               first.facts #> ARRAY['broker', of.role, 'partitions']))::integer) AS partitions
  FROM unnest(%(wins)s::integer[]) AS asked(win)
  JOIN LATERAL (SELECT win, facts FROM basis WHERE win = asked.win ORDER BY generation LIMIT 1) first ON true
  JOIN LATERAL (SELECT facts FROM basis WHERE win = asked.win ORDER BY generation DESC LIMIT 1) newest ON true
 CROSS JOIN (VALUES ('inbox'), ('bus')) AS of(role)
 WHERE first.facts ->> 'schema' = %(schema)s AND newest.facts ->> 'schema' = %(schema)s
   AND first.facts -> 'broker' ? of.role
