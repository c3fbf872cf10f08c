-- name: origin
-- Which log a source is.
SELECT topic, topic_id, partition FROM source WHERE id = %(source)s

-- name: place
-- The run of a window, and that window with its reruns.
SELECT w.run_id, r.name AS run_name, x.id
  FROM run_window w JOIN run r ON r.id = w.run_id JOIN run_window x ON x.id = w.id OR x.reruns = w.id
 WHERE w.id = %(win)s

-- name: advance
-- A plan's batch: it starts where the one before ended, and its origin's own lane has passed what it reads.
UPDATE position p SET next_offset = %(end)s, progressed_at = clock_timestamp()
 WHERE p.lane = 'admission' AND p.source_id = %(source)s AND p.next_offset = %(start)s AND p.win = %(win)s AND p.cut IS NULL
   AND p.owner = %(owner)s AND p.fence = %(fence)s
   AND EXISTS (SELECT FROM position o WHERE o.lane = 'admission' AND o.source_id = %(origin)s AND o.next_offset >= %(upto)s)
RETURNING nextval('batch_id_seq') AS batch_id

-- name: known_items
-- Which of these records of the origin are items of the run already: where they came, or as the same mismatch.
SELECT i."offset"
  FROM unnest(%(offsets)s::bigint[], %(identities)s::bytea[], %(digests)s::bytea[]) AS i("offset", identity, digest)
 WHERE EXISTS (SELECT FROM quarantine_item q
                WHERE q.run_id = %(run)s AND q.source_id = %(origin)s AND q."offset" = i."offset")
    OR EXISTS (SELECT FROM quarantine_item q
                WHERE q.run_id = %(run)s AND q.reason = 50 AND q.identity = i.identity AND q.payload_digest = i.digest)

-- name: windows_of
-- Which of these are events of the run, of which window, and what they are. By the key, as `known` of lane.sql has it.
SELECT e.identity, e.win, e.payload_digest, e.source_id, e."offset", e.payload, e.headers
  FROM generate_series(0, %(n)s - 1) AS i
 CROSS JOIN LATERAL (
       SELECT identity, win, payload_digest, source_id, "offset", payload, headers FROM {leaf}
        WHERE run_id = %(run)s AND identity = substring(%(identities)s::bytea FROM 32 * i + 1 FOR 32) LIMIT 1) e
