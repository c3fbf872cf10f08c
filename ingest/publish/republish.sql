-- name: withheld
-- Attempts of a run, or of one window of it, with batches that nothing carries: none live, not queued, and events of them without
-- a place. A batch counts with the newest attempt that carried it.
SELECT a.id
  FROM attempt a JOIN source c ON c.id = a.source_id
 WHERE c.stream_id = %(stream)s AND a.state IN ('ABSENT', 'PARTIAL', 'NOT_SENT')
   AND EXISTS (SELECT FROM attempt_batch ab JOIN batch b ON b.id = ab.batch_id
                WHERE ab.attempt_id = a.id AND b.run_id = %(run)s AND (%(win)s::integer IS NULL OR b.win = %(win)s)
                  AND NOT EXISTS (SELECT FROM attempt_batch l
                                   WHERE l.batch_id = ab.batch_id AND (l.live OR l.attempt_id > ab.attempt_id))
                  AND NOT EXISTS (SELECT FROM publish_queue q WHERE q.batch_id = ab.batch_id)
                  AND EXISTS (SELECT FROM unnest(ab.offsets) o
                               WHERE NOT EXISTS (SELECT FROM place p JOIN attempt y ON y.id = p.attempt_id AND y.state IN ('ACKED', 'PARTIAL')
                                   WHERE p.source_id = a.source_id AND p."offset" = o)))
 ORDER BY a.id

-- name: facts
-- Attempts by their numbers: their state, the topic they went to, and how many events of theirs are withheld; 0: none any more.
SELECT a.id, a.state, a.topic_id, b.run_id, b.win,
       (SELECT coalesce(sum(n.events), 0)::bigint
          FROM attempt_batch ab
         CROSS JOIN LATERAL (
               SELECT count(*) AS events FROM unnest(ab.offsets) o
                WHERE NOT EXISTS (SELECT FROM place p JOIN attempt y ON y.id = p.attempt_id AND y.state IN ('ACKED', 'PARTIAL')
                                   WHERE p.source_id = a.source_id AND p."offset" = o)) n
         WHERE ab.attempt_id = a.id AND a.state IN ('ABSENT', 'PARTIAL', 'NOT_SENT')
           AND NOT EXISTS (SELECT FROM attempt_batch l
                            WHERE l.batch_id = ab.batch_id AND (l.live OR l.attempt_id > ab.attempt_id))
           AND NOT EXISTS (SELECT FROM publish_queue q WHERE q.batch_id = ab.batch_id)) AS withheld
  FROM attempt a
  JOIN LATERAL (SELECT batch_id FROM attempt_batch WHERE attempt_id = a.id LIMIT 1) one ON true
  JOIN batch b ON b.id = one.batch_id
 WHERE a.id = ANY(%(attempts)s::bigint[])
 ORDER BY a.id

-- name: bus
-- The bus that they would go to: the incarnation of it that the stream's newest sources are of.
SELECT topic_id FROM source WHERE stream_id = %(stream)s AND role = 'bus' AND topic = %(topic)s ORDER BY id DESC LIMIT 1

-- name: lock
-- The publish lanes of these attempts: none of them takes from its queue until what is queued again is there for it to see.
SELECT p.source_id FROM position p
 WHERE p.lane = 'publish' AND p.source_id IN (SELECT a.source_id FROM attempt a WHERE a.id = ANY(%(attempts)s::bigint[]))
 ORDER BY p.source_id FOR UPDATE

-- name: queue
-- What is withheld of them, as far as its events have no place. The trigger republish_of_its_plan asks for the plan.
INSERT INTO publish_queue (batch_id, source_id, from_offset, events, bytes)
SELECT b.id, b.source_id, b.from_offset, n.events, b.bytes
  FROM attempt a JOIN attempt_batch ab ON ab.attempt_id = a.id JOIN batch b ON b.id = ab.batch_id
 CROSS JOIN LATERAL (
       SELECT count(*) AS events FROM unnest(ab.offsets) o
        WHERE NOT EXISTS (SELECT FROM place p JOIN attempt y ON y.id = p.attempt_id AND y.state IN ('ACKED', 'PARTIAL')
                           WHERE p.source_id = b.source_id AND p."offset" = o)) n
 WHERE a.id = ANY(%(attempts)s::bigint[]) AND n.events > 0 AND a.state IN ('ABSENT', 'PARTIAL', 'NOT_SENT')
   AND NOT EXISTS (SELECT FROM attempt_batch l WHERE l.batch_id = ab.batch_id AND (l.live OR l.attempt_id > ab.attempt_id))
   AND NOT EXISTS (SELECT FROM publish_queue q WHERE q.batch_id = ab.batch_id)
