-- name: window
-- A window by its number, its run, and the contract that it opened with. `sampled_after`: where its lanes stood, and its
-- ends, were written down by then: what Kafka said before says nothing of them.
SELECT w.id, w.number, w.state, w.reruns, w.contract_id, w.opened_at, w.cut_at, w.bus_end_at, r.name AS run_name, r.opened_by,
       s.name AS stream, c.version, c.digest, clock_timestamp() AS now,
       greatest(w.cut_at, w.bus_end_at,
                (SELECT max(p.progressed_at) FROM window_range x JOIN position p ON p.source_id = x.source_id
                  WHERE x.win = w.id AND p.lane <> 'publish'
                    AND (x.end_offset IS NULL OR p.next_offset <= x.end_offset))) AS sampled_after
  FROM run_window w JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id JOIN contract c ON c.id = w.contract_id
 WHERE w.id = %(win)s

-- name: acts
-- Who opened the run and who cut which of its windows, as they did it. An act of a version before says run.seal.
SELECT act, actor, at, (detail->>'window')::integer AS window
  FROM audit_log
 WHERE subject = %(subject)s AND act IN ('run.open', 'run.cut', 'run.seal') AND NOT refused
   AND (detail->>'window')::integer IN (%(number)s, %(number)s - 1)
 ORDER BY id

-- name: sources
-- The window's sources, its own batches summed up, and the newest sample that had an answer. `digests`: those of its batches
-- one behind the other, in the order of offsets. All sources at once: a window with a thousand costs one statement.
SELECT r.source_id, s.role, s.kind, s.topic, s.partition, s.cluster_id, s.topic_id, r.start_offset, r.end_offset,
       p.next_offset, t.why AS retired, m.at AS sampled_at, m.log_start,
       coalesce(b.batches, 0) AS batches, coalesce(b.records, 0)::bigint AS records, coalesce(b.admitted, 0)::bigint AS admitted,
       coalesce(b.duplicates, 0)::bigint AS duplicates, coalesce(b.quarantined, 0)::bigint AS quarantined,
       b.first_at, b.last_at, coalesce(b.digests, '') AS digests
  FROM window_range r
  JOIN source s ON s.id = r.source_id
  LEFT JOIN position p ON p.source_id = s.id AND p.lane = CASE s.role WHEN 'inbox' THEN 'admission' ELSE 'effects' END
  LEFT JOIN retirement t ON t.source_id = s.id
  LEFT JOIN (SELECT source_id, count(*) AS batches, sum(records) AS records, sum(admitted) AS admitted,
                    sum(duplicates) AS duplicates, sum(quarantined) AS quarantined, min(committed_at) AS first_at,
                    max(committed_at) AS last_at, string_agg(digest, '' ORDER BY from_offset) AS digests
               FROM batch WHERE win = %(win)s GROUP BY source_id) b ON b.source_id = s.id
  LEFT JOIN LATERAL (SELECT x.at, x.log_start FROM sample x
                      WHERE x.source_id = s.id AND x.at <= clock_timestamp() AND x.log_start IS NOT NULL
                      ORDER BY x.at DESC LIMIT 1) m ON true
 WHERE r.win = %(win)s
 ORDER BY s.role DESC, s.kind DESC, s.topic, s.partition, s.id

-- name: gap_sums
-- How many offsets of each range lie in gaps, clipped to the range; two gaps that overlap are counted once in `offsets`.
WITH hole AS (
    SELECT g.source_id, g.state, g.why,
           int8range(greatest(g.from_offset, r.start_offset), least(g.to_offset, coalesce(r.end_offset, g.to_offset))) AS span
      FROM window_range r JOIN gap g ON g.source_id = r.source_id
     WHERE r.win = %(win)s AND g.to_offset > r.start_offset AND (r.end_offset IS NULL OR g.from_offset < r.end_offset))
SELECT source_id, count(*) AS n,
       (SELECT sum(upper(x) - lower(x)) FROM unnest(range_agg(span)) x)::bigint AS offsets,
       coalesce(sum(upper(span) - lower(span)) FILTER (WHERE state = 'PROVEN'), 0)::bigint AS proven,
       coalesce(sum(upper(span) - lower(span)) FILTER (WHERE state = 'CLAIMED' AND why <> 'DELETED'), 0)::bigint AS claimed,
       coalesce(sum(upper(span) - lower(span)) FILTER (WHERE why = 'DELETED'), 0)::bigint AS deleted
  FROM hole GROUP BY source_id

-- name: gaps
-- The first gaps of each source, with what proves them.
SELECT source_id, from_offset, to_offset, state, why, isolation, claimed_at, proven_at, proof
  FROM (SELECT g.*, row_number() OVER (PARTITION BY g.source_id ORDER BY g.from_offset) AS n
          FROM window_range r JOIN gap g ON g.source_id = r.source_id
         WHERE r.win = %(win)s AND g.to_offset > r.start_offset
           AND (r.end_offset IS NULL OR g.from_offset < r.end_offset)) x
 WHERE n <= %(most)s
 ORDER BY source_id, from_offset

-- name: generations
-- What the window stands on, the oldest generation first.
SELECT generation, facts, digest, why, recorded_at FROM basis WHERE win = %(win)s ORDER BY generation

-- name: stand_ins
-- What the ledger holds of ranges that cannot be read again, each of which begins where a batch does. Receipts are counted by
-- batch, and one by one only in the batch that the range ends in. Gaps that nobody proved, or that were deleted unread, say
-- nothing of what was there.
SELECT x.source,
       ((SELECT coalesce(sum(b.records), 0) FROM batch b
          WHERE b.source_id = x.source AND b.from_offset >= x.start AND b.from_offset < x.end_ AND b.to_offset <= x.end_)
        + (SELECT count(*)
             FROM (SELECT b.from_offset FROM batch b WHERE b.source_id = x.source AND b.to_offset > x.end_
                    ORDER BY b.to_offset LIMIT 1) last
             JOIN receipt t ON t.source_id = x.source AND t."offset" >= greatest(last.from_offset, x.start)
                           AND t."offset" < x.end_))::bigint AS receipts,
       coalesce((SELECT sum(upper(u) - lower(u))
                   FROM (SELECT unnest(range_agg(int8range(greatest(g.from_offset, x.start), least(g.to_offset, x.end_)))) AS u
                           FROM gap g WHERE g.source_id = x.source AND g.state = 'PROVEN'
                                        AND g.to_offset > x.start AND g.from_offset < x.end_) v), 0)::bigint AS gaps
  FROM unnest(%(sources)s::integer[], %(starts)s::bigint[], %(ends)s::bigint[]) AS x(source, start, end_)
