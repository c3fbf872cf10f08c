-- What stands in for what is gone from the inbox: read only.

-- name: gone
-- By source of a rerun: how much of its range was gone when it was read again, and what stands in for that.
SELECT x.source_id, x.origin_win, sum(x.to_offset - x.from_offset)::bigint AS offsets, sum(n.receipts)::bigint AS receipts,
       sum(n.empty)::bigint AS empty
  FROM gone_range x CROSS JOIN LATERAL gone_stand_ins(x.source_id, x.from_offset, x.to_offset) n
 WHERE x.win = %(win)s GROUP BY x.source_id, x.origin_win

-- name: borne_out
-- Receipts that stand in, and how many of them are what is kept: the event or the item that they name, with the same digest and
-- identity, and a payload that has that digest. Of an event without payload there is its effect (unkept), and so there is of an item
-- of which only the first bytes were kept. A DUPLICATE may be of the run before (512), or of other bytes where it says so (128). One
-- look-up for each receipt, by the key: OFFSET 0 keeps the planner from reading all events instead.
WITH said AS (
    SELECT t.*, b.win, b.run_id, CASE WHEN t.decision = 2 AND t.flags & 512 <> 0 THEN run_before(b.run_id) ELSE b.run_id END AS of_run
      FROM gone_range x
      JOIN receipt t ON t.source_id = x.origin_source_id AND t."offset" >= x.start_offset AND t."offset" < x.end_offset
      JOIN batch b ON b.id = t.batch_id AND b.source_id = t.source_id AND b.win = x.origin_win
     WHERE x.win = %(win)s AND x.source_id = %(source)s),
found AS (
    SELECT CASE WHEN e.identity IS NOT NULL AND e.payload IS NOT NULL AND sha256(e.payload) = e.payload_digest
                  OR q.payload_digest IS NOT NULL AND sha256(coalesce(q.value, '')) = q.payload_digest THEN 'kept'
                WHEN e.identity IS NOT NULL AND e.payload IS NULL
                 AND EXISTS (SELECT FROM effect x WHERE x.run_id = e.run_id AND x.identity = e.identity)
                  OR octet_length(q.value) = 33554432 THEN 'unkept' END AS "is"
      FROM said t
      LEFT JOIN LATERAL (
           SELECT v.run_id, v.identity, v.payload, v.payload_digest
             FROM (SELECT * FROM event WHERE run_id = t.of_run AND identity = t.identity OFFSET 0) v
            WHERE t.decision IN (1, 2) AND v.class_id IS NOT DISTINCT FROM t.class_id
              AND (v.payload_digest = t.payload_digest OR t.decision = 2 AND t.flags & 128 <> 0)
              AND (t.decision = 2 OR (v.source_id, v."offset", v.batch_id, v.win) = (t.source_id, t."offset", t.batch_id, t.win))
           ) e ON true
      LEFT JOIN LATERAL (
           SELECT i.value, i.payload_digest FROM quarantine_item i
            WHERE t.decision = 3 AND i.source_id = t.source_id AND i."offset" = t."offset" AND i.reason = t.reason
              AND i.payload_digest = t.payload_digest AND i.identity IS NOT DISTINCT FROM t.identity
           UNION ALL
           SELECT i.value, i.payload_digest FROM quarantine_item i
            WHERE t.decision = 3 AND t.reason = 50 AND i.run_id = t.run_id AND i.reason = 50 AND i.identity = t.identity
              AND i.payload_digest = t.payload_digest
            LIMIT 1) q ON true)
SELECT count(*) AS receipts, count(*) FILTER (WHERE "is" = 'kept') AS kept, count(*) FILTER (WHERE "is" = 'unkept') AS unkept
  FROM found

-- name: with_attributes
-- Of these receipts those whose event or item has another digest than its value alone, and headers that may be a CloudEvent's
-- attributes: a page at a time.
SELECT t."offset", coalesce(e.payload, q.value) AS value, coalesce(e.headers, q.headers) AS headers,
       coalesce(e.payload_digest, q.payload_digest) AS payload_digest
  FROM gone_range x
  JOIN receipt t ON t.source_id = x.origin_source_id AND t."offset" >= x.start_offset AND t."offset" < x.end_offset
  JOIN batch b ON b.id = t.batch_id AND b.source_id = t.source_id AND b.win = x.origin_win
  LEFT JOIN LATERAL (
       SELECT v.payload, v.headers, v.payload_digest
         FROM (SELECT * FROM event
                WHERE run_id = CASE WHEN t.decision = 2 AND t.flags & 512 <> 0 THEN run_before(b.run_id) ELSE b.run_id END
                  AND identity = t.identity OFFSET 0) v
        WHERE t.decision IN (1, 2) AND v.class_id IS NOT DISTINCT FROM t.class_id
          AND (v.payload_digest = t.payload_digest OR t.decision = 2 AND t.flags & 128 <> 0)
          AND (t.decision = 2 OR (v.source_id, v."offset", v.batch_id, v.win) = (t.source_id, t."offset", t.batch_id, b.win))
       ) e ON true
  LEFT JOIN LATERAL (
       SELECT i.value, i.headers, i.payload_digest FROM quarantine_item i
        WHERE t.decision = 3 AND i.source_id = t.source_id AND i."offset" = t."offset" AND i.reason = t.reason
          AND i.payload_digest = t.payload_digest AND i.identity IS NOT DISTINCT FROM t.identity
       UNION ALL
       SELECT i.value, i.headers, i.payload_digest FROM quarantine_item i
        WHERE t.decision = 3 AND t.reason = 50 AND i.run_id = b.run_id AND i.reason = 50 AND i.identity = t.identity
          AND i.payload_digest = t.payload_digest
        LIMIT 1) q ON true
 WHERE x.win = %(win)s AND x.source_id = %(source)s AND t."offset" > %(after)s
   AND (e.payload IS NOT NULL OR q.payload_digest IS NOT NULL)
   AND position('ce_'::bytea IN coalesce(e.headers, q.headers)) > 0
   AND octet_length(coalesce(e.payload, q.value, '')) <> 33554432
   AND sha256(coalesce(e.payload, q.value, '')) <> coalesce(e.payload_digest, q.payload_digest)
 ORDER BY t."offset" LIMIT %(page)s

-- name: batches
-- The batches that these receipts are of, a page at a time, with what their receipts' leaves begin with.
SELECT DISTINCT b.id, b.source_id, b.from_offset, b.to_offset, b.digest, c.cluster_id, c.topic_id, c.partition, c.incarnation
  FROM gone_range x
  JOIN batch b ON b.source_id = x.origin_source_id AND b.win = x.origin_win AND b.from_offset < x.end_offset
   AND b.to_offset > x.start_offset
  JOIN source c ON c.id = b.source_id
 WHERE x.win = %(win)s AND x.source_id = %(source)s AND b.id > %(after)s ORDER BY b.id LIMIT %(page)s

-- name: newest
-- The window's newest verdict, as it was stored.
SELECT body FROM verdict WHERE win = %(win)s ORDER BY number DESC LIMIT 1

-- name: counted
-- What the ledger holds of a part of a window's range of an inbox source: offsets with a receipt of that window, and offsets without
-- one in gaps that were proven.
WITH hole AS (
    SELECT coalesce(range_agg(int8range(greatest(g.from_offset, %(start)s), least(g.to_offset, %(end)s))), '{}') AS spans
      FROM gap g WHERE g.source_id = %(source)s AND g.state = 'PROVEN' AND g.why NOT IN ('DELETED', 'GONE')
       AND g.from_offset < %(end)s AND g.to_offset > %(start)s)
SELECT n.outside AS receipts, s.size - n.inside AS empty
  FROM (SELECT count(*) FILTER (WHERE NOT hole.spans @> t."offset") AS outside,
               count(*) FILTER (WHERE hole.spans @> t."offset") AS inside
          FROM hole CROSS JOIN receipt t JOIN batch b ON b.id = t.batch_id AND b.source_id = t.source_id AND b.win = %(win)s
         WHERE t.source_id = %(source)s AND t."offset" >= %(start)s AND t."offset" < %(end)s) n,
       (SELECT coalesce(sum(upper(u) - lower(u)), 0)::bigint AS size FROM hole, unnest(hole.spans) u) s

-- name: neither
-- The parts of it that have neither, in order. A batch that has as many records as offsets is taken whole; of others each receipt
-- counts.
WITH filed AS (
    SELECT int8range(b.from_offset, b.to_offset) AS span FROM batch b
     WHERE b.source_id = %(source)s AND b.win = %(win)s AND b.from_offset < %(end)s AND b.to_offset > %(start)s
       AND b.records = b.to_offset - b.from_offset
    UNION ALL
    SELECT int8range(min(y.at), max(y.at) + 1)
      FROM (SELECT t."offset" AS at, t."offset" - row_number() OVER (ORDER BY t."offset") AS island
              FROM batch b JOIN receipt t ON t.source_id = b.source_id AND t.batch_id = b.id
               AND t."offset" >= b.from_offset AND t."offset" < b.to_offset
             WHERE b.source_id = %(source)s AND b.win = %(win)s AND b.from_offset < %(end)s AND b.to_offset > %(start)s
               AND b.records <> b.to_offset - b.from_offset) y
     GROUP BY y.island
    UNION ALL
    SELECT int8range(g.from_offset, g.to_offset) FROM gap g
     WHERE g.source_id = %(source)s AND g.state = 'PROVEN' AND g.why NOT IN ('DELETED', 'GONE')
       AND g.from_offset < %(end)s AND g.to_offset > %(start)s)
SELECT lower(u) AS start, upper(u) AS "end"
  FROM unnest(int8multirange(int8range(%(start)s, %(end)s)) - coalesce((SELECT range_agg(span) FROM filed), '{}')) u
 ORDER BY 1

-- name: seen_gone
-- When it was first seen that a part of it is gone: by the samples that are kept.
SELECT min(m.at) AS at FROM sample m WHERE m.source_id = %(source)s AND m.log_start > %(start)s
