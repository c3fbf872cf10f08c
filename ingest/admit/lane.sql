-- name: advance
-- A batch's compare-and-set, first in the transaction because position rows come first in the lock order. No row:
-- nothing of the batch happens. From the cut on an offset is next_win's; the first batch there folds the binding.
UPDATE position
   SET next_offset = %(end)s, leader_epoch = %(epoch)s, progressed_at = clock_timestamp(),
       until = clock_timestamp() + make_interval(secs => %(seconds)s),
       win = %(win)s,
       next_win = CASE WHEN cut IS NOT NULL AND %(start)s >= cut THEN NULL ELSE next_win END,
       cut = CASE WHEN cut IS NOT NULL AND %(start)s >= cut THEN NULL ELSE cut END,
       stopped_code = NULL, stopped_detail = NULL, stopped_at = NULL, stopped_until = NULL
 WHERE lane = 'admission' AND source_id = %(source)s
   AND next_offset = %(start)s AND fence = %(fence)s AND owner = %(owner)s
   AND (cut IS NULL OR %(end)s <= cut OR %(start)s >= cut)
   AND %(win)s = CASE WHEN cut IS NOT NULL AND %(start)s >= cut THEN next_win ELSE win END
RETURNING nextval('batch_id_seq') AS batch_id

-- name: why_not
-- The position as it is now, where a batch's compare-and-set found no row: fenced, or cut and bound anew.
SELECT owner, fence, next_offset, cut, win, next_win FROM position WHERE lane = 'admission' AND source_id = %(source)s

-- name: known
-- One bytea of 32 bytes an identity: an array of bytea takes psycopg three times as long as the look-up itself. LATERAL …
-- LIMIT 1 goes by the key even where the planner has never seen the run (= ANY took 637 µs a key then).
SELECT e.identity, e.payload_digest, e.source_id, e."offset"
  FROM generate_series(0, %(n)s - 1) AS i
 CROSS JOIN LATERAL (
       SELECT identity, payload_digest, source_id, "offset" FROM {leaf}
        WHERE run_id = %(run)s AND identity = substring(%(identities)s::bytea FROM 32 * i + 1 FOR 32) LIMIT 1) e

-- name: first_sizes
-- The lengths alone are read, not the payloads.
SELECT octet_length(e.payload) + coalesce(octet_length(e.headers), 0) AS bytes
  FROM generate_series(0, %(n)s - 1) AS i
 CROSS JOIN LATERAL (
       SELECT payload, headers FROM {leaf}
        WHERE run_id = %(run)s AND identity = substring(%(identities)s::bytea FROM 32 * i + 1 FOR 32) LIMIT 1) e
 WHERE e.payload IS NOT NULL

-- name: first_payloads
-- Only for identities that are disputed: payloads are large, and hardly ever asked for. The headers hold the attributes of
-- a CloudEvent in binary mode.
SELECT e.identity, e.payload, e.headers
  FROM generate_series(0, %(n)s - 1) AS i
 CROSS JOIN LATERAL (
       SELECT identity, payload, headers FROM {leaf}
        WHERE run_id = %(run)s AND identity = substring(%(identities)s::bytea FROM 32 * i + 1 FOR 32) LIMIT 1) e

-- name: ended_runs
-- Which of these runs of the stream are not open any more.
SELECT name FROM run WHERE stream_id = %(stream)s AND name = ANY(%(runs)s) AND state <> 'OPEN'

-- name: copy_events
-- A batch's admitted events, into the leaf of their run.
COPY {leaf} (run_id, identity, win, class_id, source_id, "offset", batch_id, payload_digest, event_id, key, headers,
             payload) FROM STDIN (FORMAT BINARY)

-- name: copy_receipts
-- A batch's receipts: what became of each offset, and why.
COPY receipt (source_id, "offset", batch_id, decision, reason, flags, class_id, identity, payload_digest)
FROM STDIN (FORMAT BINARY)

-- name: insert_items
-- The same mismatch again points to the same item and raises its count; any other item is one of its own.
INSERT INTO quarantine_item (win, run_id, source_id, "offset", batch_id, reason, detail, class_id, identity, event_id,
                             payload_digest, value, key, headers, first_source_id, first_offset, seen, state, arrived_at)
SELECT %(win)s, %(run)s, %(source)s, i."offset", %(batch)s, i.reason, i.detail, i.class_id, i.identity, i.event_id,
       i.payload_digest, i.value, i.key, i.headers, i.first_source, i.first_offset, i.seen, 'OPEN', clock_timestamp()
  FROM unnest(%(offsets)s::bigint[], %(reasons)s::smallint[], %(details)s::text[], %(classes)s::integer[],
              %(identities)s::bytea[], %(event_ids)s::text[], %(digests)s::bytea[], %(values)s::bytea[], %(keys)s::bytea[],
              %(headers)s::bytea[], %(first_sources)s::integer[], %(first_offsets)s::bigint[], %(seen)s::bigint[])
    AS i("offset", reason, detail, class_id, identity, event_id, payload_digest, value, key, headers, first_source,
         first_offset, seen)
ON CONFLICT (run_id, identity, payload_digest) WHERE reason = 50
DO UPDATE SET seen = quarantine_item.seen + excluded.seen

-- name: insert_batch
-- The batch's own row, with the counts of its decisions and the root over its receipts.
INSERT INTO batch (id, source_id, win, run_id, contract_id, from_offset, to_offset, leader_epoch, records, admitted,
                   duplicates, quarantined, reserialised, bytes, digest, fence, owner)
VALUES (%(batch)s, %(source)s, %(win)s, %(run)s, %(contract)s, %(start)s, %(end)s, %(epoch)s, %(records)s, %(admitted)s,
        %(duplicates)s, %(quarantined)s, %(reserialised)s, %(bytes)s, %(digest)s, %(fence)s, %(owner)s)

-- name: queue_batch
-- What the batch admitted waits for the publish lane from here on.
INSERT INTO publish_queue (batch_id, source_id, from_offset, events, bytes)
VALUES (%(batch)s, %(source)s, %(start)s, %(events)s, %(bytes)s)

-- name: raise_revision
-- Admission holds the position row that the cut locks, so what this statement sees of the window's state is settled.
UPDATE run_window SET revision = revision + 1 WHERE id = %(win)s AND state = 'CUT'
