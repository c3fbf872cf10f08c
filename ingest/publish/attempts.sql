-- name: hold
-- First in every transaction of the lane: position rows come first in the lock order. No row: fenced, nothing of it happens.
UPDATE position
   SET until = clock_timestamp() + make_interval(secs => %(seconds)s),
       stopped_code = NULL, stopped_detail = NULL, stopped_at = NULL, stopped_until = NULL
 WHERE lane = 'publish' AND source_id = %(source)s AND owner = %(owner)s AND fence = %(fence)s
   AND until > clock_timestamp()
RETURNING clock_timestamp() AS now

-- name: end_attempt
-- The transition itself is judged by attempt_transition.
UPDATE attempt
   SET state = %(state)s, why = coalesce(%(why)s, why),
       unknown_at = CASE WHEN %(state)s = 'UNKNOWN' THEN clock_timestamp() ELSE unknown_at END,
       settled_at = CASE WHEN %(state)s IN ('UNKNOWN', 'UNDECIDABLE') THEN NULL ELSE clock_timestamp() END
 WHERE id = %(attempt)s AND state <> %(state)s

-- name: copy_places
-- Where on the bus each event of an attempt lies.
COPY place (source_id, "offset", attempt_id, bus_source_id, bus_offset) FROM STDIN (FORMAT BINARY)

-- name: requeue
-- Each batch of the attempt with events that have no place that counts.
INSERT INTO publish_queue (batch_id, source_id, from_offset, events, bytes)
SELECT b.id, b.source_id, b.from_offset, n.events, b.bytes
  FROM attempt_batch ab JOIN batch b ON b.id = ab.batch_id
 CROSS JOIN LATERAL (
       SELECT count(*) AS events FROM unnest(ab.offsets) o
        WHERE NOT EXISTS (SELECT FROM place p JOIN attempt y ON y.id = p.attempt_id AND y.state IN ('ACKED', 'PARTIAL')
                           WHERE p.source_id = b.source_id AND p."offset" = o)) n
 WHERE ab.attempt_id = %(attempt)s AND n.events > 0

-- name: progress
-- For this lane next_offset is where the settled attempts end.
UPDATE position SET next_offset = greatest(next_offset, %(end)s), progressed_at = clock_timestamp()
 WHERE lane = 'publish' AND source_id = %(source)s AND fence = %(fence)s

-- name: serve_requests
-- People asked for this attempt to be reconciled, and now it has been.
UPDATE reconcile_request SET served_at = clock_timestamp() WHERE attempt_id = %(attempt)s AND served_at IS NULL

-- name: raise_cut_first
-- Two lanes that both hold a share lock on a cut window could not both raise it: whoever finds it cut locks it for good
-- at once, and only an open one is then locked for share by raise_revisions.
UPDATE run_window SET revision = revision + 1
 WHERE id IN (SELECT id FROM run_window WHERE id = ANY(%(windows)b::integer[]) AND state = 'CUT' ORDER BY id FOR UPDATE)
RETURNING id
