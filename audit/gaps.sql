-- name: gaps
-- Gaps of the window's inbox ranges, with what a second reader needs to look for records in them. What was deleted unread is
-- not among them: that nothing is there now says nothing of what was. A plan's source is looked at in the log that it reads `again`.
SELECT g.source_id, g.from_offset, g.to_offset, g.isolation, g.state, g.why, g.proven_at, l.topic, l.topic_id, l.partition,
       coalesce(o.start_offset, 0) AS shift, o.source_id IS NOT NULL AS again
  FROM window_range r JOIN source s ON s.id = r.source_id AND s.role = 'inbox'
  LEFT JOIN origin o ON o.source_id = s.id
  JOIN source l ON l.id = coalesce(o.origin_source_id, s.id) AND l.kind = 'topic'
  JOIN gap g ON g.source_id = r.source_id AND g.why <> 'DELETED'
        AND g.to_offset > r.start_offset AND (r.end_offset IS NULL OR g.from_offset < r.end_offset)
 WHERE r.win = %(win)s
 ORDER BY g.source_id, g.from_offset

-- name: proven
-- All of a source at once. The triggers refuse the connection that claimed them, and say when and by whom it was proven.
UPDATE gap SET state = 'PROVEN', proof = jsonb_build_object('reader', 'second', 'isolation', isolation, 'read_to', %(read_to)s::bigint)
 WHERE source_id = %(source)s AND from_offset = ANY(%(starts)s::bigint[]) AND state = 'CLAIMED'
RETURNING from_offset, proven_at

-- name: read_first
-- The window that a plan's window reads again, or in whose place a fresh run reads.
SELECT coalesce(w.reruns, r.supersedes) AS win FROM run_window w JOIN run r ON r.id = w.run_id WHERE w.id = %(win)s

-- name: proven_gone
-- Of offsets that are gone it is the log's start that is looked at, before and after, and what stands in for them that is counted. The
-- trigger gone_stands_in holds both against the row. A gap that was read before they were gone is proven where the first reading's gaps
-- over all of it were: a second reader found nothing there.
UPDATE gap g SET state = 'PROVEN', proof = jsonb_build_object('reader', 'second', 'isolation', g.isolation, 'read_to', least(%(before)s::bigint, %(after)s::bigint),
                 'log_start_before', %(before)s::bigint, 'log_start_after', %(after)s::bigint, 'receipts', n.receipts, 'empty', n.empty)
  FROM unnest(%(starts)s::bigint[], %(ends)s::bigint[]) AS x(start, "end")
 CROSS JOIN LATERAL gone_stand_ins(%(source)s::bigint, x.start, x."end") n
 WHERE g.source_id = %(source)s AND g.from_offset = x.start AND g.to_offset = x."end" AND g.state = 'CLAIMED'
   AND n.receipts + n.empty = g.to_offset - g.from_offset AND (g.why = 'GONE' OR n.receipts = 0)
RETURNING g.from_offset, g.proven_at
