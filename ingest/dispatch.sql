-- name: try_lock
-- One dispatcher at a time; the turn's row is locked until the transaction ends, so that a crash frees it.
SELECT try_turn('dispatch') AS mine

-- name: open_permits
-- A permit untaken for 10 s, or taken and not ended for longer than a slice, is lost and is replaced. Too early does no harm:
-- leases say who works on what. So is
-- one from a time to come: the database's clock has stepped back since.
SELECT count(*) AS n FROM permit
 WHERE ended_at IS NULL
   AND coalesce(taken_at, issued_at) <= clock_timestamp()
   AND (taken_at > clock_timestamp() - interval '30 s' OR taken_at IS NULL AND issued_at > clock_timestamp() - interval '10 s')

-- name: issue
INSERT INTO permit (id) VALUES (gen_random_uuid())

-- name: take_permit
-- A doubled task finds no permit and has nothing to do.
UPDATE permit SET taken_at = clock_timestamp()
 WHERE id = (SELECT id FROM permit WHERE taken_at IS NULL AND ended_at IS NULL
              ORDER BY issued_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id

-- name: end_permit
UPDATE permit SET ended_at = clock_timestamp() WHERE id = %(id)s

-- name: waiting_permits
SELECT count(*) AS n FROM permit
 WHERE taken_at IS NULL AND ended_at IS NULL AND issued_at > clock_timestamp() - interval '10 s'

-- name: forget_permits
DELETE FROM permit WHERE issued_at < clock_timestamp() - interval '10 min'

-- name: work
-- Positions with something to do, in turns: who was taken last comes last, so that a lane that finds nothing, or fails,
-- each time it is taken costs the others one turn and never their work. A source never sampled may have something: it is
-- looked at. One that the broker said nothing about has nothing that could be read now.
-- Admission has work only where its next offset belongs to a window; publishing where batches wait, an attempt is
-- unsettled and not merely waiting for a person, or a person asked: a lane that waits (`waits_for_…`) is left alone until
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
           SELECT FROM attempt a JOIN reconcile_request r ON r.attempt_id = a.id AND r.served_at IS NULL
            WHERE a.source_id = p.source_id AND a.state IN ('PREPARED', 'UNKNOWN', 'UNDECIDABLE')))
   AND (p.lane = 'publish' OR NOT EXISTS (SELECT FROM retirement r WHERE r.source_id = p.source_id))
   AND CASE p.stopped_code
       WHEN 'waits_for_reconcile' THEN NOT EXISTS (
            SELECT FROM attempt a WHERE a.source_id = p.source_id AND a.state IN ('UNKNOWN', 'UNDECIDABLE') AND a.over_at IS NULL
               AND NOT EXISTS (SELECT FROM reconcile_request r WHERE r.attempt_id = a.id AND r.served_at IS NULL))
       WHEN 'waits_for_republish' THEN NOT EXISTS (
            SELECT FROM attempt a JOIN attempt_batch ab ON ab.attempt_id = a.id
             WHERE a.source_id = p.source_id AND a.state IN ('ABSENT', 'PARTIAL', 'NOT_SENT')
               AND NOT EXISTS (SELECT FROM attempt_batch l WHERE l.batch_id = ab.batch_id AND l.live)
               AND NOT EXISTS (SELECT FROM publish_queue q WHERE q.batch_id = ab.batch_id)
               AND EXISTS (SELECT FROM unnest(ab.offsets) o
                            WHERE NOT EXISTS (SELECT FROM place x WHERE x.source_id = a.source_id AND x."offset" = o)))
       ELSE true END
   AND CASE p.lane
       WHEN 'admission' THEN (CASE WHEN p.cut IS NOT NULL AND p.next_offset >= p.cut THEN p.next_win ELSE p.win END) IS NOT NULL
                         AND (s.taken IS NULL OR s.lso > p.next_offset)
       WHEN 'effects' THEN s.taken IS NULL OR s.lso > p.next_offset
       ELSE EXISTS (SELECT FROM publish_queue q WHERE q.source_id = p.source_id)
         OR EXISTS (SELECT FROM attempt a WHERE a.source_id = p.source_id AND a.state IN ('PREPARED', 'UNKNOWN', 'UNDECIDABLE')
                                                AND a.over_at IS NULL)
       END
 ORDER BY p.taken_at NULLS FIRST, p.progressed_at, p.lane, p.source_id

-- name: sampled_sources
SELECT DISTINCT s.id, s.stream_id, s.role, s.topic, s.topic_id, s.partition, st.name AS stream, p.next_offset
  FROM position p JOIN source s ON s.id = p.source_id JOIN stream st ON st.id = s.stream_id
 WHERE p.lane IN ('admission', 'effects') AND (%(stream)s::text IS NULL OR st.name = %(stream)s)
   AND NOT EXISTS (SELECT FROM retirement r WHERE r.source_id = s.id)

-- name: insert_samples
INSERT INTO sample (source_id, log_start, lso, hw, leader_epoch, kafka_committed, committed_state, next_offset)
SELECT * FROM unnest(%(sources)s::integer[], %(log_starts)s::bigint[], %(lsos)s::bigint[], %(hws)s::bigint[],
                     %(epochs)s::integer[], %(committed)s::bigint[], %(states)s::text[], %(nexts)s::bigint[])

-- name: forget_samples
-- Screens show hours, not days; verdicts keep snapshots of their own. The oldest first, by the index on their age.
DELETE FROM sample WHERE id IN (
    SELECT id FROM sample WHERE at < clock_timestamp() - make_interval(hours => %(hours)s) ORDER BY at LIMIT 5000)
