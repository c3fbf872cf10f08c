-- name: window
-- The window as a refresh finds it, and its newest verdict.
SELECT w.id, w.number, w.state, w.contract_id, r.name AS run_name, s.name AS stream, v.number AS verdict, v.state AS verdict_state,
       coalesce(v.waived, false) AS waived
  FROM run_window w JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id
  LEFT JOIN LATERAL (SELECT number, state, waived FROM verdict WHERE win = w.id ORDER BY number DESC LIMIT 1) v ON true
 WHERE w.id = %(win)s

-- name: lock
-- Held until the generation is written: of two that append one, and of one and a verdict, the later sees the earlier.
SELECT id FROM run_window WHERE id = %(win)s FOR UPDATE

-- name: parts
-- The window's logs: where each begins, where it ends (an open window: nowhere yet), and how far it was read, which lanes may
-- have gone on beyond what Kafka was asked for before: nothing is held against that.
SELECT s.role, s.kind, s.topic, s.partition, r.start_offset, r.end_offset, p.next_offset
  FROM window_range r JOIN source s ON s.id = r.source_id
  JOIN position p ON p.source_id = s.id AND p.lane = CASE s.role WHEN 'bus' THEN 'effects' ELSE 'admission' END
 WHERE r.win = %(win)s AND s.kind = 'topic' ORDER BY s.id
