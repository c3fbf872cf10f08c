-- An attempt whose bus was created again is LOST: two people say so, on what Kafka answered twice. Its places stay, and count no
-- more; its batches are free for another attempt.

SELECT guard_append_only('attempt_loss'::regclass);
GRANT SELECT, INSERT ON attempt_loss TO passgate_app;
GRANT SELECT ON attempt_loss TO passgate_auditor;

-- The topic that took the name of the one an attempt went to, where that is gone and something of the attempt is bound to it still:
-- places that count, or an outcome that nobody will learn. Null: it is not so, or nobody has seen it. The one rule, for whoever
-- offers it, asks for it, or stores it. Of a PREPARED one the sender is fenced.
CREATE FUNCTION bus_after(of_attempt bigint) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT n.topic_id
      FROM attempt a JOIN source c ON c.id = a.source_id
     CROSS JOIN LATERAL (SELECT s.id, s.cluster_id, s.topic_id FROM source s
                          WHERE s.stream_id = c.stream_id AND s.role = 'bus' AND s.topic = a.topic ORDER BY s.id DESC LIMIT 1) n
     WHERE a.id = of_attempt AND n.cluster_id = a.cluster_id AND n.topic_id <> a.topic_id
       AND NOT EXISTS (SELECT FROM retirement r WHERE r.source_id = n.id)
       AND (a.state IN ('ACKED', 'PARTIAL')
            OR a.over_at IS NOT NULL AND a.state IN ('UNKNOWN', 'UNDECIDABLE')
            OR a.over_at IS NOT NULL AND a.state = 'PREPARED'
               AND EXISTS (SELECT FROM position p WHERE p.lane = 'publish' AND p.source_id = a.source_id AND p.fence > a.fence))
       AND EXISTS (SELECT FROM attempt_partition p WHERE p.attempt_id = a.id)
       AND NOT EXISTS (SELECT FROM attempt_partition p WHERE p.attempt_id = a.id
                          AND NOT EXISTS (SELECT FROM retirement r WHERE r.source_id = p.bus_source_id))
$$;

-- As before (decide.sql), but for an attempt that is LOST: by a loss that was written down, and for good. And now that a place is
-- an attempt's, no event has two that count.
CREATE OR REPLACE FUNCTION attempt_transition() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    answer_needed text;
    decided attempt_decision;
BEGIN
    IF (NEW.source_id, NEW.transactional_id, NEW.fence, NEW.owner, NEW.install_id, NEW.cluster_id, NEW.topic_id, NEW.topic,
        NEW.events, NEW.bytes, NEW.prepared_at)
       IS DISTINCT FROM (OLD.source_id, OLD.transactional_id, OLD.fence, OLD.owner, OLD.install_id, OLD.cluster_id,
        OLD.topic_id, OLD.topic, OLD.events, OLD.bytes, OLD.prepared_at) THEN
        PERFORM refuse('attempt_fixed', 'an attempt keeps what was PREPARED');
    END IF;
    IF NEW.state = OLD.state THEN
        RETURN NEW;
    END IF;
    IF (OLD.state, NEW.state) NOT IN (
        ('PREPARED', 'ACKED'), ('PREPARED', 'NOT_SENT'), ('PREPARED', 'UNKNOWN'),
        ('UNKNOWN', 'ACKED'), ('UNKNOWN', 'ABSENT'), ('UNKNOWN', 'PARTIAL'), ('UNKNOWN', 'UNDECIDABLE'),
        ('UNDECIDABLE', 'ACKED'), ('UNDECIDABLE', 'ABSENT'), ('UNDECIDABLE', 'PARTIAL'),
        ('ACKED', 'LOST'), ('PARTIAL', 'LOST'), ('PREPARED', 'LOST'), ('UNKNOWN', 'LOST'), ('UNDECIDABLE', 'LOST')) THEN
        PERFORM refuse('attempt_transition', format('attempt %s: %s does not become %s', OLD.id, OLD.state, NEW.state));
    END IF;
    IF NEW.state = 'LOST' THEN
        IF NOT EXISTS (SELECT FROM attempt_loss l WHERE l.attempt_id = NEW.id) OR bus_after(NEW.id) IS NULL THEN
            PERFORM refuse('attempt_lost_by_plan', format('nobody has shown that attempt %s is lost', NEW.id));
        END IF;
        RETURN NEW;
    END IF;
    -- I6: nothing leaves UNKNOWN without a scan whose fence is newer than the one the attempt was sent under; what no scan
    -- can answer leaves UNDECIDABLE by a decision, too
    IF OLD.state = 'UNDECIDABLE' THEN
        SELECT * INTO decided FROM attempt_decision d WHERE d.attempt_id = NEW.id;
    END IF;
    IF decided.attempt_id IS NOT NULL THEN
        IF NEW.state <> decided.outcome OR EXISTS (
               SELECT FROM unnest(decided.offsets, decided.bus_sources, decided.bus_offsets) AS o("offset", source, at)
                 LEFT JOIN place p ON p.source_id = NEW.source_id AND p."offset" = o."offset" AND p.attempt_id = NEW.id
                  AND p.bus_source_id = o.source AND p.bus_offset = o.at
                WHERE p.source_id IS NULL) THEN
            PERFORM refuse('attempt_as_decided', format('attempt %s was decided to be %s', OLD.id, decided.outcome));
        END IF;
    ELSIF OLD.state IN ('UNKNOWN', 'UNDECIDABLE') THEN
        answer_needed := CASE NEW.state WHEN 'ACKED' THEN 'PRESENT' ELSE NEW.state END;
        IF NOT EXISTS (SELECT FROM scan WHERE attempt_id = NEW.id AND fence > NEW.fence AND answer = answer_needed) THEN
            PERFORM refuse('attempt_needs_fence_evidence',
                           format('attempt %s leaves %s without a scan after a newer fence', OLD.id, OLD.state));
        END IF;
    END IF;
    -- its batches have no other live attempt (attempt_batch_one_live), but a PARTIAL one may have placed some of them
    IF NEW.state IN ('ACKED', 'PARTIAL') AND EXISTS (
           SELECT FROM attempt_batch mine JOIN attempt_batch other ON other.batch_id = mine.batch_id AND other.attempt_id <> mine.attempt_id
             JOIN attempt o ON o.id = other.attempt_id AND o.state IN ('ACKED', 'PARTIAL')
            CROSS JOIN LATERAL unnest(other.offsets) AS n("offset")
             JOIN place p ON p.source_id = o.source_id AND p."offset" = n."offset" AND p.attempt_id = o.id
             JOIN place q ON q.source_id = p.source_id AND q."offset" = p."offset" AND q.attempt_id = NEW.id
            WHERE mine.attempt_id = NEW.id) THEN
        PERFORM refuse('place_once', format('attempt %s places an event that has its place', NEW.id));
    END IF;
    RETURN NEW;
END $$;

DROP TRIGGER attempt_frees_batches ON attempt;
CREATE TRIGGER attempt_frees_batches AFTER UPDATE OF state ON attempt FOR EACH ROW
    WHEN (NEW.state IN ('ABSENT', 'PARTIAL', 'NOT_SENT', 'LOST')) EXECUTE FUNCTION attempt_frees_batches();
