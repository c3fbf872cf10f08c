-- name: claimed
-- What was deleted unread is not among them: that nothing is there now says nothing of what was.
SELECT g.source_id, g.from_offset, g.to_offset, g.isolation, s.topic, s.topic_id, s.partition
  FROM window_range r JOIN source s ON s.id = r.source_id AND s.role = 'inbox' AND s.kind = 'topic'
  JOIN gap g ON g.source_id = r.source_id AND g.state = 'CLAIMED' AND g.why <> 'DELETED'
        AND g.to_offset > r.start_offset AND (r.end_offset IS NULL OR g.from_offset < r.end_offset)
 WHERE r.win = %(win)s
 ORDER BY g.source_id, g.from_offset

-- name: proven
-- All of a source's in one statement: a log may have thousands of holes.
UPDATE gap SET state = 'PROVEN', proven_at = clock_timestamp(), proof = x.proof
  FROM unnest(%(starts)s::bigint[], %(proofs)s::jsonb[]) AS x(from_offset, proof)
 WHERE gap.source_id = %(source)s AND gap.from_offset = x.from_offset AND state = 'CLAIMED'
