-- name: unsettled
-- At most one a lane (attempt_one_unsettled). Silence is counted from the last send as far as it is known: a sender that
-- died left only the time it prepared. One whose log is gone is over, and holds nobody up.
SELECT a.id, a.state, a.why, a.fence, a.install_id, a.cluster_id, a.topic_id, a.topic, a.events, a.prepared_at, a.unknown_at,
       extract(epoch FROM clock_timestamp() - CASE WHEN a.why LIKE 'NO_OUTCOME%%' THEN a.prepared_at
                                                   ELSE coalesce(a.unknown_at, a.prepared_at) END)::float8 AS silent_for,
       b.win, b.run_id, b.contract_id,
       EXISTS (SELECT FROM attempt_decision d WHERE d.attempt_id = a.id) AS decided,
       last.why AS scan_why, last.scans, extract(epoch FROM clock_timestamp() - last.ended_at)::float8 AS scanned_for,
       (SELECT max(bb.to_offset) FROM attempt_batch x JOIN batch bb ON bb.id = x.batch_id WHERE x.attempt_id = a.id) AS to_offset,
       (SELECT r.requested_by FROM reconcile_request r
         WHERE r.attempt_id = a.id AND r.served_at IS NULL ORDER BY r.id LIMIT 1) AS requested_by
  FROM attempt a
  JOIN LATERAL (SELECT batch_id FROM attempt_batch WHERE attempt_id = a.id LIMIT 1) one ON true
  JOIN batch b ON b.id = one.batch_id
  LEFT JOIN LATERAL (SELECT s.why, s.ended_at, count(*) OVER () AS scans FROM scan s
                      WHERE s.attempt_id = a.id ORDER BY s.id DESC LIMIT 1) last ON true
 WHERE a.source_id = %(source)s AND a.state IN ('PREPARED', 'UNKNOWN', 'UNDECIDABLE')
   AND a.over_at IS NULL
 ORDER BY a.id LIMIT 1

-- name: anchors
-- From where each partition of the bus is read again for an attempt's marks.
SELECT partition, lo, leader_epoch, bus_source_id FROM attempt_partition WHERE attempt_id = %(attempt)s ORDER BY partition

-- name: expected
-- What an attempt sent, in offset order: a scan holds each record that it finds against it.
SELECT x."offset", x.partition, e.identity, e.payload_digest
  FROM attempt_batch ab
  JOIN batch b ON b.id = ab.batch_id
 CROSS JOIN LATERAL unnest(ab.offsets, ab.partitions) AS x("offset", partition)
  JOIN event e ON e.run_id = b.run_id AND e.batch_id = ab.batch_id AND e."offset" = x."offset"
 WHERE ab.attempt_id = %(attempt)s
 ORDER BY x."offset"

-- name: applied
-- Which of these identities the effects lane has read from the bus already.
SELECT k.n::integer - 1 AS index
  FROM unnest(%(identities)b::bytea[]) WITH ORDINALITY AS k(identity, n)
 CROSS JOIN LATERAL (SELECT FROM effect f WHERE f.run_id = %(run)s AND f.identity = k.identity LIMIT 1) f

-- name: insert_scan
-- What a scan of the bus found, and its answer: the evidence by which an attempt is settled.
INSERT INTO scan (attempt_id, fence, fenced_at, asked_by, started_at, ended_at, answer, why, expected, found, partitions)
VALUES (%(attempt)s, %(fence)s, %(fenced_at)s, %(asked_by)s, %(started_at)s, clock_timestamp(), %(answer)s, %(why)s,
        %(expected)s, %(found)s, %(partitions)s)
RETURNING id

-- name: unsettled_of_run
-- Attempts without outcome that carry events of this run.
SELECT DISTINCT a.id, a.events
  FROM attempt a JOIN attempt_batch ab ON ab.attempt_id = a.id JOIN batch b ON b.id = ab.batch_id
  JOIN run r ON r.id = b.run_id JOIN stream s ON s.id = r.stream_id
 WHERE s.name = %(stream)s AND r.name = %(run)s AND a.state IN ('PREPARED', 'UNKNOWN', 'UNDECIDABLE')
   AND a.over_at IS NULL
 ORDER BY a.id

-- name: run_of
-- Whether there is such a run: one without attempts is told apart from one that is not there.
SELECT r.id FROM run r JOIN stream s ON s.id = r.stream_id WHERE s.name = %(stream)s AND r.name = %(run)s

-- name: attempt_named
-- One attempt with its state and its run, by its number; `over` where the log it went to is gone.
SELECT a.id, a.state, a.over_at IS NOT NULL AS over, s.name || '/' || r.name AS run
  FROM attempt a
  JOIN LATERAL (SELECT batch_id FROM attempt_batch WHERE attempt_id = a.id LIMIT 1) one ON true
  JOIN batch b ON b.id = one.batch_id JOIN run r ON r.id = b.run_id JOIN stream s ON s.id = r.stream_id
 WHERE a.id = %(attempt)s

-- name: request
-- One waiting request an attempt: a second one is the same request.
INSERT INTO reconcile_request (attempt_id, requested_by) SELECT unnest(%(attempts)b::bigint[]), %(who)s
ON CONFLICT (attempt_id) WHERE served_at IS NULL DO NOTHING
RETURNING attempt_id
