-- name: queued
-- The queue, never "id > last seen": batches commit out of order. `partly`: a PARTIAL attempt placed some of its events.
SELECT q.batch_id, q.from_offset, b.to_offset, q.events, q.bytes, b.win, b.run_id, b.contract_id,
       EXISTS (SELECT FROM attempt_batch ab JOIN attempt a ON a.id = ab.attempt_id
                WHERE ab.batch_id = q.batch_id AND a.state = 'PARTIAL') AS partly
  FROM publish_queue q JOIN batch b ON b.id = q.batch_id
 WHERE q.source_id = %(source)s
 ORDER BY q.from_offset LIMIT 500

-- name: withheld
-- Proven ABSENT (or partly so) where the contract wants a plan before republishing: nothing later may overtake them.
SELECT ab.batch_id
  FROM attempt a JOIN attempt_batch ab ON ab.attempt_id = a.id
 WHERE a.source_id = %(source)s AND a.state IN ('ABSENT', 'PARTIAL', 'NOT_SENT')
   AND NOT EXISTS (SELECT FROM attempt_batch l WHERE l.batch_id = ab.batch_id AND l.live)
   AND NOT EXISTS (SELECT FROM publish_queue q WHERE q.batch_id = ab.batch_id)
   AND EXISTS (SELECT FROM unnest(ab.offsets) o
                WHERE NOT EXISTS (SELECT FROM place p JOIN attempt y ON y.id = p.attempt_id AND y.state IN ('ACKED', 'PARTIAL')
                                   WHERE p.source_id = a.source_id AND p."offset" = o))
 LIMIT 1

-- name: events
-- By batch alone, in the leaf of the run that the batches belong to: a run the planner has never seen would else be read
-- whole. The caller sorts: here the sort would move every payload.
SELECT e."offset", e.batch_id, e.identity, e.payload_digest, e.key, e.headers, e.payload
  FROM {leaf} e
 WHERE e.batch_id = ANY(%(batches)b::bigint[])

-- name: events_without_place
-- The same where a PARTIAL attempt carried some of the batches: only the events that have no place that counts.
SELECT e."offset", e.batch_id, e.identity, e.payload_digest, e.key, e.headers, e.payload
  FROM {leaf} e
 WHERE e.batch_id = ANY(%(batches)b::bigint[])
   AND NOT EXISTS (SELECT FROM place p JOIN attempt y ON y.id = p.attempt_id AND y.state IN ('ACKED', 'PARTIAL')
                    WHERE p.source_id = e.source_id AND p."offset" = e."offset")

-- name: dequeue
-- Takes batches off the queue. Fewer rows than asked for: somebody else has taken one, and nothing of it happens.
DELETE FROM publish_queue WHERE batch_id = ANY(%(batches)b::bigint[]) AND source_id = %(source)s RETURNING batch_id

-- name: insert_attempt
-- A new attempt, before anything of it is sent.
INSERT INTO attempt (source_id, transactional_id, fence, owner, install_id, cluster_id, topic_id, topic, events, bytes, state)
VALUES (%(source)s, %(transactional_id)s, %(fence)s, %(owner)s, %(install)s, %(cluster_id)s, %(topic_id)s, %(topic)s,
        %(events)s, %(bytes)s, 'PREPARED')
RETURNING id

-- name: insert_attempt_batches
-- The explicit partition of every event, batch by batch, in offset order.
INSERT INTO attempt_batch (attempt_id, batch_id, offsets, partitions, live)
SELECT %(attempt)s, x.batch_id, x.offsets::bigint[], x.partitions::integer[], true
  FROM unnest(%(batches)b::bigint[], %(offsets)s::text[], %(partitions)s::text[]) AS x(batch_id, offsets, partitions)

-- name: insert_attempt_partitions
-- Where each partition of the bus stood before the attempt: a scan for its marks begins there.
INSERT INTO attempt_partition (attempt_id, partition, bus_source_id, lo, leader_epoch)
SELECT %(attempt)s, * FROM unnest(%(partitions)b::integer[], %(sources)b::integer[], %(los)b::bigint[], %(epochs)b::integer[])

-- name: bus_sources
-- The sources that the partitions of this incarnation of the bus are.
SELECT partition, id FROM source
 WHERE stream_id = %(stream)s AND role = 'bus' AND cluster_id = %(cluster_id)s AND topic_id = %(topic_id)s
