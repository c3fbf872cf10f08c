-- name: lost
-- Attempts with batches of a window that went to a bus that is gone: bus_after is the rule.
SELECT n.id
  FROM (SELECT DISTINCT ab.attempt_id AS id FROM batch b JOIN attempt_batch ab ON ab.batch_id = b.id WHERE b.win = %(win)s) n
 WHERE bus_after(n.id) IS NOT NULL
 ORDER BY n.id

-- name: facts
-- The same for attempts by their numbers, with what has to be known of each; those that are not so are left out.
SELECT a.id, a.state, a.cluster_id, a.topic, a.topic_id, b.run_id, b.win, a.events, n.bus,
       EXISTS (SELECT FROM attempt_batch ab JOIN batch o ON o.id = ab.batch_id
                 JOIN event e ON e.run_id = o.run_id AND e.batch_id = o.id
                WHERE ab.attempt_id = a.id AND e.payload IS NULL) AS bare
  FROM attempt a
 CROSS JOIN LATERAL (SELECT bus_after(a.id) AS bus) n
  JOIN LATERAL (SELECT batch_id FROM attempt_batch WHERE attempt_id = a.id LIMIT 1) one ON true
  JOIN batch b ON b.id = one.batch_id
 WHERE a.id = ANY(%(attempts)s::bigint[]) AND n.bus IS NOT NULL
 ORDER BY a.id

-- name: beside
-- Attempts beside these that hold their batches, or placed a part of them.
SELECT DISTINCT o.id
  FROM attempt_batch mine JOIN attempt_batch other ON other.batch_id = mine.batch_id
  JOIN attempt o ON o.id = other.attempt_id AND (o.state IN ('ACKED', 'PARTIAL') OR other.live)
 WHERE mine.attempt_id = ANY(%(attempts)s::bigint[]) AND o.id <> ALL(%(attempts)s::bigint[])
 ORDER BY o.id

-- name: write
-- What was found of each, under the plan that says so: the trigger loss_of_its_plan holds every word against that and the ledger.
INSERT INTO attempt_loss (attempt_id, plan, cluster_id, topic, topic_id, found_topic_id, seen_at, measured_at,
                          requested_by, approved_by, reason)
SELECT a.id, %(plan)s, a.cluster_id, a.topic, a.topic_id, %(found)s, %(seen_at)s, %(measured_at)s,
       %(requested_by)s, %(approved_by)s, %(reason)s
  FROM attempt a WHERE a.id = ANY(%(attempts)s::bigint[])

-- name: end
-- LOST: the trigger attempt_frees_batches frees their batches with it.
UPDATE attempt SET state = 'LOST', settled_at = coalesce(settled_at, clock_timestamp()) WHERE id = ANY(%(attempts)s::bigint[])

-- name: queue
-- Their batches, as far as nothing carries them and events of them have no place that counts. By all attempts of a batch, for
-- the last of them may have carried a rest. The trigger republish_of_its_plan asks for the plan.
INSERT INTO publish_queue (batch_id, source_id, from_offset, events, bytes)
SELECT b.id, b.source_id, b.from_offset, n.events, b.bytes
  FROM batch b
 CROSS JOIN LATERAL (
       SELECT count(DISTINCT o) AS events
         FROM attempt_batch ab CROSS JOIN unnest(ab.offsets) o
        WHERE ab.batch_id = b.id
          AND NOT EXISTS (SELECT FROM place p JOIN attempt y ON y.id = p.attempt_id AND y.state IN ('ACKED', 'PARTIAL')
                           WHERE p.source_id = b.source_id AND p."offset" = o)) n
 WHERE b.id IN (SELECT ab.batch_id FROM attempt_batch ab WHERE ab.attempt_id = ANY(%(attempts)s::bigint[])) AND n.events > 0
   AND NOT EXISTS (SELECT FROM attempt_batch l WHERE l.batch_id = b.id AND l.live)
   AND NOT EXISTS (SELECT FROM publish_queue q WHERE q.batch_id = b.id)

-- name: unapplied
-- An event of the window that has no effect, if there is one.
SELECT e.identity FROM event e
 WHERE e.run_id = %(run)s AND e.win = %(win)s
   AND NOT EXISTS (SELECT FROM effect x WHERE x.run_id = e.run_id AND x.identity = e.identity)
 LIMIT 1

-- name: partitions
-- The partitions of one incarnation of the bus that the stream knows.
SELECT partition FROM source
 WHERE stream_id = %(stream)s AND role = 'bus' AND topic = %(topic)s AND topic_id = %(topic_id)s ORDER BY partition
