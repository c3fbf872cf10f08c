-- name: work
-- Positions with something to do, in turns: who was taken last comes last, so that a lane that finds nothing, or fails,
-- each time it is taken costs the others one turn and never their work. A source never sampled may have something: it is
-- looked at; but a plan's is read by its plan alone. One that the broker said nothing about has nothing that could be read now.
-- Admission has work only where its next offset belongs to a window; publishing where batches wait, an attempt is
-- unsettled and not merely waiting for a person, or a person asked or two decided: a lane that waits (`waits_for_…`) is left alone until
-- what it waits for is there, for each taking costs a lease, a fence and a producer. What is dated later than now was written
-- before the database's clock stepped back: such a sample is not the newest, such a rest or lease is over (see `take`). Nobody
-- reads a log that is gone; what was admitted from it is published all the same.
SELECT p.lane, p.source_id, p.owner,
       p.until <= clock_timestamp() OR p.until > clock_timestamp() + interval '1 min' AS expired
  FROM position p
  LEFT JOIN LATERAL (SELECT lso, true AS taken FROM sample s WHERE s.source_id = p.source_id AND s.at <= clock_timestamp()
                      ORDER BY s.at DESC LIMIT 1) s ON true
 WHERE (p.stopped_until IS NULL OR p.stopped_until <= clock_timestamp()
        OR p.stopped_until > clock_timestamp() + interval '1 min'
        OR p.stopped_code = 'waits_for_silence' AND EXISTS (
           SELECT FROM attempt a
            WHERE a.source_id = p.source_id AND a.state IN ('PREPARED', 'UNKNOWN', 'UNDECIDABLE')
              AND (EXISTS (SELECT FROM reconcile_request r WHERE r.attempt_id = a.id AND r.served_at IS NULL)
                   OR EXISTS (SELECT FROM attempt_decision d WHERE d.attempt_id = a.id))))
   AND (p.lane = 'publish' OR NOT EXISTS (SELECT FROM retirement r WHERE r.source_id = p.source_id))
   AND CASE p.stopped_code
       WHEN 'waits_for_reconcile' THEN NOT EXISTS (
            SELECT FROM attempt a WHERE a.source_id = p.source_id AND a.state IN ('UNKNOWN', 'UNDECIDABLE') AND a.over_at IS NULL
               AND NOT EXISTS (SELECT FROM reconcile_request r WHERE r.attempt_id = a.id AND r.served_at IS NULL)
               AND NOT EXISTS (SELECT FROM attempt_decision d WHERE d.attempt_id = a.id))
       WHEN 'waits_for_republish' THEN NOT EXISTS (
            SELECT FROM attempt a JOIN attempt_batch ab ON ab.attempt_id = a.id
             WHERE a.source_id = p.source_id AND a.state IN ('ABSENT', 'PARTIAL', 'NOT_SENT')
               AND NOT EXISTS (SELECT FROM attempt_batch l WHERE l.batch_id = ab.batch_id AND l.live)
               AND NOT EXISTS (SELECT FROM publish_queue q WHERE q.batch_id = ab.batch_id)
               AND EXISTS (SELECT FROM unnest(ab.offsets) o
                            WHERE NOT EXISTS (SELECT FROM place x JOIN attempt y ON y.id = x.attempt_id AND y.state IN ('ACKED', 'PARTIAL')
                                               WHERE x.source_id = a.source_id AND x."offset" = o)))
       ELSE true END
   AND CASE p.lane
       WHEN 'admission' THEN (CASE WHEN p.cut IS NOT NULL AND p.next_offset >= p.cut THEN p.next_win ELSE p.win END) IS NOT NULL
                         AND (s.taken IS NULL AND EXISTS (SELECT FROM source c WHERE c.id = p.source_id AND c.kind <> 'plan')
                              OR s.lso > p.next_offset)
       WHEN 'effects' THEN s.taken IS NULL OR s.lso > p.next_offset
       ELSE EXISTS (SELECT FROM publish_queue q WHERE q.source_id = p.source_id)
         OR EXISTS (SELECT FROM attempt a WHERE a.source_id = p.source_id AND a.state IN ('PREPARED', 'UNKNOWN', 'UNDECIDABLE')
                                                AND a.over_at IS NULL)
       END
 ORDER BY p.taken_at NULLS FIRST, p.progressed_at, p.lane, p.source_id
