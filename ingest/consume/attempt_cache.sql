-- name: states
-- The states that attempts have now, and whether people decided about them: all else about them is remembered.
SELECT id, state, EXISTS (SELECT FROM attempt_decision d WHERE d.attempt_id = attempt.id) AS decided
  FROM attempt WHERE id = ANY(%(attempts)b::bigint[])

-- name: attempts
-- What never changes about an attempt, once per attempt and process; `partitions` is how many it sent to.
SELECT a.id, a.install_id::text AS install, a.topic_id, a.source_id, b.run_id, b.win, b.contract_id, ab.batch_id,
       (SELECT count(*) FROM attempt_partition p WHERE p.attempt_id = a.id) AS partitions
  FROM attempt a JOIN attempt_batch ab ON ab.attempt_id = a.id JOIN batch b ON b.id = ab.batch_id
 WHERE a.id = ANY(%(attempts)b::bigint[])

-- name: offsets
-- Which inbox offsets each attempt carries, a row for each of its batches.
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
-- Of attempts that were found in part, the inbox offsets that do have a place of that attempt.
SELECT p.attempt_id, p."offset"
  FROM attempt a JOIN attempt_batch ab ON ab.attempt_id = a.id CROSS JOIN unnest(ab.offsets) AS o("offset")
 CROSS JOIN LATERAL (
       SELECT attempt_id, "offset" FROM place
        WHERE source_id = a.source_id AND "offset" = o."offset" AND attempt_id = a.id LIMIT 1) p
 WHERE a.id = ANY(%(attempts)b::bigint[])

-- name: events_of_batches
-- Whole attempts at once, a tenth of what looking each identity up takes; by batch alone, in the leaf of their run.
SELECT run_id, identity, batch_id, source_id, "offset", win, payload_digest, class_id
  FROM {leaf} WHERE batch_id = ANY(%(batches)b::bigint[])
