-- Each statement returns (subject, found) for what breaks an invariant, at most %(most)s rows. %(stream)s null: all streams.

-- name: i1_places_of_acked
-- An ACKED attempt has a place for each of its events; an attempt that is not ACKED or PARTIAL has none.
SELECT 'attempt ' || a.id AS subject,
       a.state || ' with ' || count(p.attempt_id) || ' places for ' || a.events || ' events' AS found
  FROM attempt a JOIN source c ON c.id = a.source_id JOIN stream s ON s.id = c.stream_id
  LEFT JOIN place p ON p.attempt_id = a.id
 WHERE %(stream)s::text IS NULL OR s.name = %(stream)s
 GROUP BY a.id
HAVING (a.state = 'ACKED' AND count(p.attempt_id) <> a.events)
    OR (a.state NOT IN ('ACKED', 'PARTIAL') AND count(p.attempt_id) > 0)
    OR (a.state = 'PARTIAL' AND count(p.attempt_id) NOT BETWEEN 1 AND a.events)
 LIMIT %(most)s

-- name: i2_effects_unique
SELECT 'run ' || x.run_number AS subject, count(*) || ' effects of identity ' || encode(x.identity, 'hex') AS found
  FROM effect x JOIN run r ON r.id = x.run_number JOIN stream s ON s.id = r.stream_id
 WHERE %(stream)s::text IS NULL OR s.name = %(stream)s
 GROUP BY x.run_number, x.identity HAVING count(*) > 1
 LIMIT %(most)s

-- name: i3_effects_are_events
SELECT 'run ' || x.run_number AS subject, 'effect without event: identity ' || encode(x.identity, 'hex') AS found
  FROM effect x JOIN run r ON r.id = x.run_number JOIN stream s ON s.id = r.stream_id
  LEFT JOIN event e ON e.run_number = x.run_number AND e.identity = x.identity
 WHERE (%(stream)s::text IS NULL OR s.name = %(stream)s) AND (e.identity IS NULL OR e.win <> x.win)
 LIMIT %(most)s

-- name: i3_consumed_are_effects
-- An ACKED place that the effects lane has passed is an effect.
SELECT 'source ' || p.source_id || ' offset ' || p."offset" AS subject,
       'its place ' || p.bus_source_id || '@' || p.bus_offset || ' was read and is no effect' AS found
  FROM place p
  JOIN source c ON c.id = p.source_id JOIN stream s ON s.id = c.stream_id
  JOIN position lane ON lane.lane = 'effects' AND lane.source_id = p.bus_source_id AND p.bus_offset < lane.next_offset
  JOIN receipt t ON t.source_id = p.source_id AND t."offset" = p."offset"
  JOIN batch b ON b.id = t.batch_id
  LEFT JOIN effect x ON x.run_number = b.run_number AND x.identity = t.identity
 WHERE (%(stream)s::text IS NULL OR s.name = %(stream)s) AND x.identity IS NULL
 LIMIT %(most)s

-- name: i4_samples
-- The newest sample of each source: what Kafka was told never runs ahead of what is durable.
SELECT 'source ' || p.source_id AS subject,
       'Kafka''s commit ' || n.kafka_committed || ' is ahead of the position ' || p.next_offset AS found
  FROM position p JOIN stream s ON s.id = p.stream_id
  JOIN LATERAL (SELECT * FROM sample x WHERE x.source_id = p.source_id ORDER BY x.at DESC LIMIT 1) n ON true
 WHERE p.lane IN ('admission', 'effects') AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
   AND n.committed_state = 'COMMITTED' AND n.kafka_committed > p.next_offset
 LIMIT %(most)s

-- name: i5_positions_explained
-- Batches and gaps of a lane, put together, fill everything from where its first window began up to its position.
WITH lane AS (
    SELECT p.lane, p.source_id, p.next_offset,
           (SELECT min(r.start_offset) FROM window_range r WHERE r.source_id = p.source_id) AS start_offset
      FROM position p JOIN stream s ON s.id = p.stream_id
     WHERE p.lane IN ('admission', 'effects') AND (%(stream)s::text IS NULL OR s.name = %(stream)s)),
known AS (
    SELECT 'admission' AS lane, source_id, int8range(from_offset, to_offset) AS span FROM batch
    UNION ALL SELECT 'effects', source_id, int8range(from_offset, to_offset) FROM bus_batch
    UNION ALL SELECT l, source_id, int8range(from_offset, to_offset) FROM gap, unnest(ARRAY['admission', 'effects']) l)
SELECT lane.lane || ' lane of source ' || lane.source_id AS subject,
       'nothing explains all of [' || lane.start_offset || ', ' || lane.next_offset || ')' AS found
  FROM lane
  LEFT JOIN LATERAL (SELECT range_agg(k.span) AS spans FROM known k
                      WHERE k.lane = lane.lane AND k.source_id = lane.source_id) k ON true
 WHERE lane.start_offset < lane.next_offset
   AND NOT coalesce(k.spans, '{}'::int8multirange) @> int8range(lane.start_offset, lane.next_offset)
 LIMIT %(most)s

-- name: i5_batches_beyond
SELECT 'batch ' || b.id AS subject, 'ends at ' || b.to_offset || ', beyond the position ' || p.next_offset AS found
  FROM batch b JOIN position p ON p.lane = 'admission' AND p.source_id = b.source_id JOIN stream s ON s.id = p.stream_id
 WHERE b.to_offset > p.next_offset AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
UNION ALL
SELECT 'bus batch ' || b.id, 'ends at ' || b.to_offset || ', beyond the position ' || p.next_offset
  FROM bus_batch b JOIN position p ON p.lane = 'effects' AND p.source_id = b.source_id JOIN stream s ON s.id = p.stream_id
 WHERE b.to_offset > p.next_offset AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
 LIMIT %(most)s

-- name: i6_fence_evidence
-- What was UNKNOWN and is settled has a scan after a fence newer than the one it was sent under.
SELECT 'attempt ' || a.id AS subject, 'went from UNKNOWN to ' || a.state || ' without a scan after a newer fence' AS found
  FROM attempt a JOIN source c ON c.id = a.source_id JOIN stream s ON s.id = c.stream_id
 WHERE a.unknown_at IS NOT NULL AND a.state IN ('ACKED', 'ABSENT', 'PARTIAL')
   AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
   AND NOT EXISTS (SELECT FROM scan x WHERE x.attempt_id = a.id AND x.fence > a.fence AND x.fenced_at >= a.prepared_at
                    AND x.answer = CASE a.state WHEN 'ACKED' THEN 'PRESENT' ELSE a.state END)
 LIMIT %(most)s

-- name: i7_absent
SELECT 'attempt ' || c.attempt_id AS subject, c.kind || ': ' || c.detail AS found
  FROM contradiction c JOIN source b ON b.id = c.source_id JOIN stream s ON s.id = b.stream_id
 WHERE %(stream)s::text IS NULL OR s.name = %(stream)s
 LIMIT %(most)s

-- name: i8_passes
-- Windows whose newest verdict is PASS, with what must not be there.
SELECT s.name || '/' || r.run_id || '#' || v.number AS verdict, v.body, w.contract_id,
       (SELECT count(DISTINCT a.id) FROM batch b JOIN attempt_batch ab ON ab.batch_id = b.id AND ab.live
          JOIN attempt a ON a.id = ab.attempt_id AND a.state IN ('PREPARED', 'UNKNOWN', 'UNDECIDABLE')
         WHERE b.win = w.id) AS unsettled,
       (SELECT count(*) FROM quarantine_item q WHERE q.win = w.id AND q.state = 'OPEN') AS open_items,
       (SELECT count(*) FROM window_range g JOIN source c ON c.id = g.source_id
          JOIN position p ON p.source_id = g.source_id
           AND p.lane = CASE c.role WHEN 'bus' THEN 'effects' ELSE 'admission' END
         WHERE g.win = w.id AND (g.end_offset IS NULL OR p.next_offset < g.end_offset)) AS behind
  FROM run_window w JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id
  JOIN LATERAL (SELECT * FROM verdict x WHERE x.win = w.id ORDER BY x.number DESC LIMIT 1) v ON v.state = 'PASS'
 WHERE (%(stream)s::text IS NULL OR s.name = %(stream)s) AND NOT v.waived

-- name: i9_verdicts
SELECT s.name || '/' || r.run_id || '#' || v.number AS verdict, v.body, v.digest
  FROM verdict v JOIN run r ON r.id = v.run_id JOIN stream s ON s.id = r.stream_id
 WHERE %(stream)s::text IS NULL OR s.name = %(stream)s

-- name: i9_batches
SELECT b.id, b.source_id, b.from_offset, b.to_offset, b.digest
  FROM batch b JOIN source c ON c.id = b.source_id JOIN stream s ON s.id = c.stream_id
 WHERE %(stream)s::text IS NULL OR s.name = %(stream)s

-- name: i9_receipts
SELECT "offset", decision, reason, identity, payload_digest
  FROM receipt WHERE source_id = %(source)s AND "offset" >= %(start)s AND "offset" < %(end)s AND batch_id = %(batch)s
 ORDER BY "offset"

-- name: i10_open_gates
-- A gate that is open now stands on the newest verdict of its window, which is PASS, of a basis that is recorded.
SELECT 'window ' || g.win AS subject, 'open on verdict ' || g.verdict_id || ', newest is ' || v.id || ' ' || v.state AS found
  FROM gate_open g JOIN run_window w ON w.id = g.win JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id
  JOIN LATERAL (SELECT * FROM verdict x WHERE x.win = g.win ORDER BY x.number DESC LIMIT 1) v ON true
 WHERE g.open_until > clock_timestamp() AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
   AND (v.id <> g.verdict_id OR v.state <> 'PASS'
        OR EXISTS (SELECT FROM contradiction c WHERE c.win = g.win)
        OR NOT EXISTS (SELECT FROM basis b WHERE b.win = g.win AND b.generation = v.basis_generation
                        AND encode(b.digest, 'hex') = v.body -> 'basis' ->> 'digest'))
 LIMIT %(most)s

-- name: i10_granted
-- Every read that was granted names a PASS that had been decided by then.
SELECT 'decision ' || d.id AS subject, 'granted ' || d.who || ' without a PASS: ' || coalesce(d.verdict, 'none') AS found
  FROM gate_decision d
 WHERE d.status = 200 AND (%(stream)s::text IS NULL OR d.stream = %(stream)s)
   AND NOT EXISTS (SELECT FROM verdict v JOIN run r ON r.id = v.run_id JOIN stream s ON s.id = r.stream_id
                    WHERE s.name = d.stream AND r.run_id = d.run_id AND v.state = 'PASS' AND v.decided_at <= d.at
                      AND s.name || '/' || r.run_id || '#' || v.number = d.verdict)
 LIMIT %(most)s

-- name: i12_first_payloads
-- The first payload of a mismatch is where the item says, and is what its digest says.
SELECT 'item ' || q.id AS subject, 'its first payload is not at ' || q.first_source_id || '@' || q.first_offset AS found
  FROM quarantine_item q JOIN source c ON c.id = q.source_id JOIN stream s ON s.id = c.stream_id
 WHERE q.first_offset IS NOT NULL AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
   AND NOT EXISTS (SELECT FROM event e WHERE e.run_number = q.run_number AND e.identity = q.identity
                    AND e.source_id = q.first_source_id AND e."offset" = q.first_offset
                    AND e.payload_digest <> q.payload_digest
                    AND (e.payload IS NULL OR sha256(e.payload) = e.payload_digest
                         OR position('ce_'::bytea IN e.headers) > 0))
 LIMIT %(most)s

-- name: i12_kept_payloads
-- Of a value beyond KEPT_BYTES (ingest/admit.py) the beginning alone is kept.
SELECT 'item ' || q.id AS subject, 'its raw bytes do not have its digest' AS found
  FROM quarantine_item q JOIN source c ON c.id = q.source_id JOIN stream s ON s.id = c.stream_id
 WHERE q.value IS NOT NULL AND sha256(q.value) <> q.payload_digest AND octet_length(q.value) <> 33554432
   AND (q.headers IS NULL OR position('ce_'::bytea IN q.headers) = 0)
   AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
 LIMIT %(most)s

-- name: i12_with_attributes
-- Items and their first events whose digest is not of their value alone, and which have headers that may be a CloudEvent's
-- attributes: their digest is recomputed outside. Headers beyond KEPT_BYTES are not kept, and then nothing can be said.
SELECT q.id, q.value, q.headers, q.payload_digest, e.payload AS first_value, e.headers AS first_headers,
       e.payload_digest AS first_digest
  FROM quarantine_item q JOIN source c ON c.id = q.source_id JOIN stream s ON s.id = c.stream_id
  LEFT JOIN event e ON e.run_number = q.run_number AND e.identity = q.identity AND q.first_offset IS NOT NULL
   AND position('ce_'::bytea IN e.headers) > 0 AND sha256(e.payload) <> e.payload_digest
 WHERE q.id > %(after)s AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
   AND ((q.value IS NOT NULL AND position('ce_'::bytea IN q.headers) > 0 AND sha256(q.value) <> q.payload_digest
         AND octet_length(q.value) <> 33554432) OR e.payload IS NOT NULL)
 ORDER BY q.id LIMIT %(page)s

-- name: i13_owners
SELECT x.lane || ' lane of source ' || x.source_id AS subject,
       count(DISTINCT x.owner) || ' owners committed under fence ' || x.fence AS found
  FROM (SELECT 'admission' AS lane, source_id, fence, owner FROM batch
        UNION ALL SELECT 'effects', source_id, fence, owner FROM bus_batch
        UNION ALL SELECT 'publish', source_id, fence, owner FROM attempt) x
  JOIN source c ON c.id = x.source_id JOIN stream s ON s.id = c.stream_id
 WHERE %(stream)s::text IS NULL OR s.name = %(stream)s
 GROUP BY x.lane, x.source_id, x.fence HAVING count(DISTINCT x.owner) > 1
 LIMIT %(most)s

-- name: i13_fences
-- Later offsets were committed under no older fence.
SELECT x.lane || ' lane of source ' || x.source_id AS subject,
       'fence ' || x.fence || ' at ' || x.from_offset || ' after fence ' || x.before AS found
  FROM (SELECT lane, source_id, from_offset, fence,
               max(fence) OVER (PARTITION BY lane, source_id ORDER BY from_offset ROWS UNBOUNDED PRECEDING) AS before
          FROM (SELECT 'admission' AS lane, source_id, from_offset, fence FROM batch
                UNION ALL SELECT 'effects', source_id, from_offset, fence FROM bus_batch) b) x
  JOIN source c ON c.id = x.source_id JOIN stream s ON s.id = c.stream_id
 WHERE x.fence < x.before AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
 LIMIT %(most)s

-- name: refs
-- What foreign keys would say, were they not too dear on these tables (DESIGN 10).
SELECT 'receipt ' || t.source_id || '@' || t."offset" AS subject, 'no batch ' || t.batch_id || ' that reaches there' AS found
  FROM receipt t JOIN source c ON c.id = t.source_id JOIN stream s ON s.id = c.stream_id
  LEFT JOIN batch b ON b.id = t.batch_id AND b.source_id = t.source_id
   AND t."offset" >= b.from_offset AND t."offset" < b.to_offset
 WHERE b.id IS NULL AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
UNION ALL
SELECT 'event of run ' || e.run_number || ' at ' || e.source_id || '@' || e."offset", 'no ADMITTED receipt of this identity'
  FROM event e JOIN run r ON r.id = e.run_number JOIN stream s ON s.id = r.stream_id
  LEFT JOIN receipt t ON t.source_id = e.source_id AND t."offset" = e."offset" AND t.batch_id = e.batch_id
   AND t.decision = 1 AND t.identity = e.identity AND t.payload_digest = e.payload_digest
 WHERE t.batch_id IS NULL AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
UNION ALL
SELECT 'effect of run ' || x.run_number || ' at ' || x.bus_source_id || '@' || x.bus_offset, 'no bus batch that reaches there'
  FROM effect x JOIN run r ON r.id = x.run_number JOIN stream s ON s.id = r.stream_id
  LEFT JOIN bus_batch b ON b.id = x.bus_batch_id AND b.source_id = x.bus_source_id
   AND x.bus_offset >= b.from_offset AND x.bus_offset < b.to_offset
 WHERE b.id IS NULL AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
UNION ALL
SELECT 'place of ' || p.source_id || '@' || p."offset", 'no ADMITTED receipt there'
  FROM place p JOIN source c ON c.id = p.source_id JOIN stream s ON s.id = c.stream_id
  LEFT JOIN receipt t ON t.source_id = p.source_id AND t."offset" = p."offset" AND t.decision = 1
 WHERE t.batch_id IS NULL AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
 LIMIT %(most)s

-- name: sums
-- A batch's counts are the counts of its receipts.
SELECT 'batch ' || b.id AS subject,
       'counts ' || b.admitted || '/' || b.duplicates || '/' || b.quarantined || ', receipts '
       || t.admitted || '/' || t.duplicates || '/' || t.quarantined AS found
  FROM batch b JOIN source c ON c.id = b.source_id JOIN stream s ON s.id = c.stream_id
  CROSS JOIN LATERAL (
       SELECT count(*) FILTER (WHERE decision = 1) AS admitted, count(*) FILTER (WHERE decision = 2) AS duplicates,
              count(*) FILTER (WHERE decision = 3) AS quarantined
         FROM receipt x WHERE x.source_id = b.source_id AND x."offset" >= b.from_offset AND x."offset" < b.to_offset) t
 WHERE (b.admitted, b.duplicates, b.quarantined) IS DISTINCT FROM (t.admitted, t.duplicates, t.quarantined)
   AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
 LIMIT %(most)s
