-- name: sources
-- Sources with a lane that reads them, where their first window began, and where their log was cut.
SELECT c.id, c.topic, c.topic_id, c.partition, p.lane, s.name AS stream, log_kept_to(c.id) AS kept_to,
       (SELECT min(r.start_offset) FROM window_range r WHERE r.source_id = c.id) AS start_offset
  FROM source c JOIN stream s ON s.id = c.stream_id
  JOIN position p ON p.source_id = c.id AND p.lane IN ('admission', 'effects')
 WHERE c.kind = 'topic' AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
   AND EXISTS (SELECT FROM window_range r WHERE r.source_id = c.id)
 ORDER BY c.id

-- name: position
-- How far a lane has read its source.
SELECT next_offset FROM position WHERE lane = %(lane)s AND source_id = %(source)s

-- name: sampled
-- The newest sample of a source.
SELECT n.hw, n.lso, n.log_start FROM sample n WHERE n.source_id = %(source)s ORDER BY n.at DESC LIMIT 1

-- name: gone
-- Parts of a log that a plan passed over as gone, and that reach behind where it begins now: it only ever moves on.
SELECT o.start_offset + g.from_offset AS start, o.start_offset + g.to_offset AS "end"
  FROM origin o JOIN gap g ON g.source_id = o.source_id AND g.why = 'GONE'
 WHERE o.origin_source_id = %(source)s AND o.start_offset + g.to_offset > %(start)s
 ORDER BY 1

-- name: installs
-- The ids that marks of this ledger carry: another one since an older copy was adopted.
SELECT install_id::text AS id FROM install

-- name: receipts
-- What became of these offsets, under which contract and run; and of what was admitted, the key and headers that are kept.
SELECT t."offset", t.decision, t.reason, t.identity, t.payload_digest, b.contract_id, r.name AS run_name,
       CASE WHEN t.flags & 512 <> 0 THEN (SELECT p.name FROM run p WHERE p.id = run_before(b.run_id)) END AS earlier_run,
       e.identity IS NOT NULL AS kept, e.key, e.headers
  FROM receipt t
  LEFT JOIN batch b ON b.id = t.batch_id LEFT JOIN run r ON r.id = b.run_id
  LEFT JOIN event e ON t.decision = 1 AND e.run_id = b.run_id AND e.identity = t.identity
 WHERE t.source_id = %(source)s AND t."offset" >= %(start)s AND t."offset" < %(end)s

-- name: items
-- What is kept of the records that were set aside in this part of a log.
SELECT q."offset", q.key, q.headers FROM quarantine_item q
 WHERE q.source_id = %(source)s AND q."offset" >= %(start)s AND q."offset" < %(end)s

-- name: gaps
-- Gaps that reach into this part of a log.
SELECT g.from_offset, g.to_offset, g.state FROM gap g
 WHERE g.source_id = %(source)s AND g.to_offset > %(start)s AND g.from_offset < %(end)s

-- name: sent
-- Of records that carry our marks: their attempt as it is known, the event they say they are, where that event's place and
-- effect are. What people decided to be absent was never proven so. By (attempt, identity): places and effects have no index by their spot on the bus.
SELECT i."offset", b.run_id, e.payload_digest, coalesce(sha256(e.payload), e.payload_digest) AS value_digest,
       e.key, e.headers,
       CASE WHEN EXISTS (SELECT FROM attempt_decision d WHERE d.attempt_id = a.id) THEN 'decided' ELSE a.state END AS state,
       p.source_id IS NOT NULL AS placed,
       (x.bus_source_id, x.bus_offset) = (%(bus)s, i."offset") IS TRUE AS applied
  FROM unnest(%(offsets)s::bigint[], %(installs)s::text[], %(attempts)s::bigint[], %(identities)s::bytea[])
       AS i("offset", install, attempt, identity)
  LEFT JOIN attempt a ON a.id = i.attempt AND a.install_id::text = i.install
  LEFT JOIN LATERAL (SELECT n.run_id FROM attempt_batch ab JOIN batch n ON n.id = ab.batch_id
                      WHERE ab.attempt_id = a.id LIMIT 1) b ON true
  LEFT JOIN event e ON e.run_id = b.run_id AND e.identity = i.identity
  LEFT JOIN effect x ON x.run_id = b.run_id AND x.identity = i.identity
  LEFT JOIN LATERAL (SELECT n.source_id FROM place n
                      WHERE n.source_id = e.source_id AND n."offset" = e."offset"
                        AND (n.bus_source_id, n.bus_offset) = (%(bus)s, i."offset") LIMIT 1) p ON true

-- name: placed
-- How many places there are in this part of the bus.
SELECT count(*) AS n FROM place WHERE bus_source_id = %(source)s AND bus_offset >= %(start)s AND bus_offset < %(end)s

-- name: applied
-- How many effects there are in this part of the bus.
SELECT count(*) AS n FROM effect WHERE bus_source_id = %(source)s AND bus_offset >= %(start)s AND bus_offset < %(end)s
