-- What the demo reads. Every statement is a SELECT; the connection is read-only besides.

-- name: writing_batches
-- Worker connections that have written receipts in a transaction that has not committed: they are in mid-batch.
SELECT DISTINCT a.client_port AS port
  FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
 WHERE l.relation = 'receipt'::regclass AND l.mode = 'RowExclusiveLock' AND l.granted AND a.client_port > 0

-- name: prepared
-- Attempts on their way to the bus, and whose they are.
SELECT a.id, a.owner FROM attempt a JOIN source c ON c.id = a.source_id JOIN stream s ON s.id = c.stream_id
 WHERE a.state = 'PREPARED' AND s.name = %(stream)s

-- name: attempts
-- What these attempts have come to.
SELECT a.id, a.state, a.events, a.why FROM attempt a WHERE a.id = ANY(%(ids)s::bigint[]) ORDER BY a.id

-- name: unsettled
-- Attempts of a stream that have no outcome, by state.
SELECT a.state, count(*) AS attempts, sum(a.events)::bigint AS events
  FROM attempt a JOIN source c ON c.id = a.source_id JOIN stream s ON s.id = c.stream_id
 WHERE a.state IN ('PREPARED', 'UNKNOWN', 'UNDECIDABLE') AND s.name = %(stream)s
 GROUP BY a.state

-- name: admitted_to
-- How far admission is, by partition.
SELECT c.partition, p.next_offset FROM position p JOIN source c ON c.id = p.source_id JOIN stream s ON s.id = c.stream_id
 WHERE p.lane = 'admission' AND s.name = %(stream)s

-- name: waiting_batches
-- Batches that wait to be published and could be: no unsettled attempt stands before them.
SELECT count(*) AS batches
  FROM publish_queue q JOIN source c ON c.id = q.source_id JOIN stream s ON s.id = c.stream_id
 WHERE s.name = %(stream)s
   AND NOT EXISTS (SELECT FROM attempt a WHERE a.source_id = q.source_id AND a.state IN ('UNKNOWN', 'UNDECIDABLE'))

-- name: leases_of
-- When the leases of a process end.
SELECT count(*) AS lanes, max(extract(epoch FROM p.until - clock_timestamp()))::float AS seconds
  FROM position p WHERE split_part(p.owner, ':', 2) = %(pid)s AND p.until > clock_timestamp()

-- name: owners
-- Which processes hold leases of this stream.
SELECT DISTINCT split_part(p.owner, ':', 2)::integer AS pid
  FROM position p JOIN stream s ON s.id = p.stream_id
 WHERE p.owner IS NOT NULL AND p.until > clock_timestamp() AND s.name = %(stream)s

-- name: verdicts
-- A run's verdicts, each with its sentence.
SELECT v.number, v.state, v.decided_by, v.body ->> 'sentence' AS sentence
  FROM verdict v JOIN run r ON r.id = v.run_id JOIN stream s ON s.id = r.stream_id
 WHERE s.name = %(stream)s AND r.name = %(run_name)s ORDER BY v.number

-- name: ticks_windows
-- Windows of the stream that never ends, with their newest verdicts.
SELECT w.number, v.state FROM run_window w JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id AND s.name = 'ticks'
  LEFT JOIN LATERAL (SELECT state FROM verdict WHERE win = w.id ORDER BY number DESC LIMIT 1) v ON true
 ORDER BY w.id

-- name: plans
-- Plans, the oldest first.
SELECT p.id, p.kind, p.state, p.requested_by, p.approved_by FROM plan p ORDER BY p.id

-- name: verdict_of
-- The newest verdict on a window, or on a rerun of it (0: on none).
SELECT v.number, v.state, v.body ->> 'sentence' AS sentence
  FROM verdict v JOIN run_window w ON w.id = v.win JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id
 WHERE s.name = %(stream)s AND r.name = %(run_name)s AND w.number = %(window)s AND coalesce(w.rerun, 0) = %(rerun)s
 ORDER BY v.number DESC LIMIT 1

-- name: applied
-- How many events of a run are applied.
SELECT count(*) AS events FROM effect e JOIN run r ON r.id = e.run_id JOIN stream s ON s.id = r.stream_id
 WHERE s.name = %(stream)s AND r.name = %(run_name)s

-- name: redriven
-- How many items of a run became events after all, of how many.
SELECT count(*) FILTER (WHERE q.resolution = 'REDRIVEN') || '/' || count(*) AS of_all
  FROM quarantine_item q JOIN run r ON r.id = q.run_id JOIN stream s ON s.id = r.stream_id
 WHERE s.name = %(stream)s AND r.name = %(run_name)s

-- name: open_items
-- By what a person would say of them: a mismatch has a first payload that stands, everything else is set aside.
SELECT q.id, q.reason FROM quarantine_item q JOIN run r ON r.id = q.run_id JOIN stream s ON s.id = r.stream_id
 WHERE s.name = %(stream)s AND r.name = %(run_name)s AND q.state = 'OPEN' ORDER BY q.id

-- name: runs
-- Every run, with the sums of its batches.
SELECT r.id, s.name AS stream, r.name AS run_name, r.state,
       coalesce(sum(b.records), 0)::bigint AS records, coalesce(sum(b.admitted), 0)::bigint AS admitted,
       coalesce(sum(b.duplicates), 0)::bigint AS duplicates, coalesce(sum(b.reserialised), 0)::bigint AS reserialised,
       coalesce(sum(b.quarantined), 0)::bigint AS quarantined, count(b.id) AS batches,
       min(b.committed_at) AS first_at, max(b.committed_at) AS last_at
  FROM run r JOIN stream s ON s.id = r.stream_id LEFT JOIN batch b ON b.run_id = r.id
 GROUP BY r.id, s.name ORDER BY r.id

-- name: receipts
-- How many receipts each run has, by decision and reason.
SELECT b.run_id AS run, t.decision, t.reason, count(*) AS n
  FROM receipt t JOIN batch b ON b.id = t.batch_id GROUP BY 1, 2, 3

-- name: published
-- How many events of each run have a place on the bus.
SELECT b.run_id AS run, count(*) AS n
  FROM place p JOIN receipt t ON t.source_id = p.source_id AND t."offset" = p."offset" JOIN batch b ON b.id = t.batch_id
 GROUP BY 1

-- name: effects
-- How many effects each run has, by what the look-up in its context gave.
SELECT e.run_id AS run, e.context_state AS state, count(*) AS n FROM effect e GROUP BY 1, 2

-- name: items
-- How many quarantine items each run has, by state.
SELECT q.run_id AS run, q.state, count(*) AS n FROM quarantine_item q GROUP BY 1, 2

-- name: attempts_by_state
-- How many attempts each run has, by state, and how many of their batches they carry still.
SELECT b.run_id AS run, a.state, count(DISTINCT a.id) AS attempts, sum(CASE WHEN ab.live THEN 1 ELSE 0 END) AS live
  FROM attempt a JOIN attempt_batch ab ON ab.attempt_id = a.id JOIN batch b ON b.id = ab.batch_id GROUP BY 1, 2

-- name: scans
-- What reconciliation found, and how it was asked.
SELECT b.run_id AS run, c.answer, count(DISTINCT c.id) AS n, sum(c.found)::bigint AS found
  FROM scan c JOIN (SELECT DISTINCT ab.attempt_id, b.run_id FROM attempt_batch ab JOIN batch b ON b.id = ab.batch_id) b
    ON b.attempt_id = c.attempt_id
 GROUP BY 1, 2
