-- name: advance
-- A bus batch's compare-and-set: fenced or moved, nothing of it happens.
UPDATE position
   SET next_offset = %(end)s, leader_epoch = %(epoch)s, progressed_at = clock_timestamp(),
       until = clock_timestamp() + make_interval(secs => %(seconds)s),
       stopped_code = NULL, stopped_detail = NULL, stopped_at = NULL, stopped_until = NULL
 WHERE lane = 'effects' AND source_id = %(source)s
   AND next_offset = %(start)s AND fence = %(fence)s AND owner = %(owner)s
RETURNING nextval('bus_batch_id_seq') AS batch_id

-- name: states
SELECT id, state FROM attempt WHERE id = ANY(%(attempts)b::bigint[])

-- name: attempts
-- What never changes about an attempt, once per attempt and process; `partitions` is how many it sent to.
SELECT a.id, a.topic_id, a.source_id, b.run_number, b.win, b.contract_id, ab.batch_id,
       (SELECT count(*) FROM attempt_partition p WHERE p.attempt_id = a.id) AS partitions
  FROM attempt a JOIN attempt_batch ab ON ab.attempt_id = a.id JOIN batch b ON b.id = ab.batch_id
 WHERE a.id = ANY(%(attempts)b::bigint[])

-- name: offsets
SELECT attempt_id, offsets FROM attempt_batch WHERE attempt_id = ANY(%(attempts)b::bigint[])

-- name: sent
-- What attempts sent, in the order it was sent, as two strings of bytes a batch: to compare a read with these takes no
-- object an event. A batch that was not sent as a whole is left out; LATERAL since its run may be new to the planner.
SELECT ab.attempt_id, ab.partitions, e.identities, e.digests
  FROM attempt a JOIN attempt_batch ab ON ab.attempt_id = a.id JOIN batch b ON b.id = ab.batch_id
 CROSS JOIN LATERAL (
       SELECT string_agg(identity, ''::bytea) AS identities, string_agg(payload_digest, ''::bytea) AS digests,
              array_agg("offset") AS offsets
         FROM (SELECT identity, payload_digest, "offset" FROM {leaf}
                WHERE batch_id = ab.batch_id AND source_id = a.source_id AND win = b.win
                ORDER BY "offset") s) e
 WHERE a.id = ANY(%(attempts)b::bigint[]) AND e.offsets = ab.offsets
 ORDER BY b.from_offset

-- name: placed
SELECT p.attempt_id, p."offset"
  FROM attempt a JOIN attempt_batch ab ON ab.attempt_id = a.id CROSS JOIN unnest(ab.offsets) AS o("offset")
 CROSS JOIN LATERAL (
       SELECT attempt_id, "offset" FROM place WHERE source_id = a.source_id AND "offset" = o."offset" LIMIT 1) p
 WHERE a.id = ANY(%(attempts)b::bigint[]) AND p.attempt_id = a.id

-- name: events_of_batches
-- Whole attempts at once, a tenth of what looking each identity up takes; by batch alone, in the leaf of their run.
SELECT run_number, identity, batch_id, source_id, "offset", win, payload_digest, class_id
  FROM {leaf} WHERE batch_id = ANY(%(batches)b::bigint[])

-- name: events
-- LATERAL … LIMIT 1 by (run, identity): 4 µs a key even for a run the planner has never seen. The identities come
-- as one string of bytes: an array of thousands takes longer to write and read than to look up.
SELECT i, e.source_id, e."offset", e.win, e.payload_digest, e.class_id
  FROM generate_series(0, %(count)s - 1) AS i
 CROSS JOIN LATERAL (
       SELECT source_id, "offset", win, payload_digest, class_id FROM event
        WHERE run_number = %(run)s AND identity = substr(%(identities)b::bytea, i * 32 + 1, 32) LIMIT 1) e

-- name: applied
SELECT i FROM generate_series(0, %(count)s - 1) AS i
 CROSS JOIN LATERAL (
       SELECT FROM effect
        WHERE run_number = %(run)s AND identity = substr(%(identities)b::bytea, i * 32 + 1, 32) LIMIT 1) f

-- name: copy_effects
COPY {leaf} (run_number, identity, win, bus_source_id, bus_offset, bus_batch_id, context_state, context_reason)
FROM STDIN (FORMAT BINARY)

-- name: insert_foreign
INSERT INTO foreign_record (source_id, "offset", why, key, value, headers)
SELECT %(source)s, * FROM unnest(%(offsets)b::bigint[], %(whys)s::text[], %(keys)b::bytea[], %(values)b::bytea[],
                                 %(headers)b::bytea[])

-- name: insert_contradictions
INSERT INTO contradiction (win, attempt_id, kind, source_id, "offset", identity, detail)
SELECT c.win, c.attempt, c.kind, %(source)s, c."offset", c.identity, c.detail
  FROM unnest(%(wins)b::integer[], %(attempts)b::bigint[], %(kinds)s::text[], %(offsets)b::bigint[],
              %(identities)b::bytea[], %(details)s::text[]) AS c(win, attempt, kind, "offset", identity, detail)
ON CONFLICT ON CONSTRAINT contradiction_unique DO NOTHING

-- name: insert_batch
INSERT INTO bus_batch (id, source_id, from_offset, to_offset, leader_epoch, records, applied, duplicates, foreign_records,
                       mismatching, gaps, fence, owner)
VALUES (%(batch)s, %(source)s, %(start)s, %(end)s, %(epoch)s, %(records)s, %(applied)s, %(duplicates)s, %(foreign)s,
        %(mismatching)s, %(gaps)s, %(fence)s, %(owner)s)

-- name: insert_copies
-- Further copies of events, a row for each window whose events they are.
INSERT INTO bus_copies (bus_batch_id, win, copies, first_offset)
SELECT %(batch)s, c.* FROM unnest(%(wins)b::integer[], %(copies)b::integer[], %(firsts)b::bigint[]) c

-- name: insert_gaps
INSERT INTO gap (source_id, from_offset, to_offset, leader_epoch, isolation, why, state, fence)
SELECT %(source)s, g.*, 'CLAIMED', %(fence)s
  FROM unnest(%(froms)b::bigint[], %(tos)b::bigint[], %(epochs)b::integer[], %(isolations)s::text[], %(whys)s::text[]) g

-- name: windows_in_range
-- Cut windows that this read may lie in: their CAUGHT_UP and PUBLISHED change with it.
SELECT w.id FROM window_range r JOIN run_window w ON w.id = r.win
 WHERE r.source_id = %(source)s AND w.state = 'CUT' AND (r.end_offset IS NULL OR r.end_offset > %(start)s)

-- name: pins
-- context_standing is the one rule of what a context is worth now: verdicts and gates ask it, too.
SELECT context, pinned_win, verdict, why, fallen FROM context_standing(%(win)s)

-- name: contracts
-- Versions of the stream's contract that a window still goes by whose run is not closed.
SELECT DISTINCT w.contract_id FROM run_window w JOIN run r ON r.id = w.run_id
 WHERE r.stream_id = %(stream)s AND r.state <> 'CLOSED' ORDER BY w.contract_id
