-- What two people decided of an attempt that no scan can answer: it takes the scan's place, and stands for ever.

SELECT guard_append_only('attempt_decision'::regclass);
GRANT SELECT, INSERT ON attempt_decision TO passgate_app;
GRANT SELECT ON attempt_decision TO passgate_auditor;

-- Where the effects of an attempt's events lie. The one rule of what may be decided to be present: the bus was read there, and
-- the event was found. An event that is not here has no effect.
CREATE FUNCTION attempt_effects(of_attempt bigint)
RETURNS TABLE ("offset" bigint, bus_source_id integer, bus_offset bigint) LANGUAGE sql STABLE AS $$
    SELECT o."offset", x.bus_source_id, x.bus_offset
      FROM attempt_batch ab JOIN batch b ON b.id = ab.batch_id
     CROSS JOIN LATERAL unnest(ab.offsets) AS o("offset")
      JOIN event e ON e.run_id = b.run_id AND e.batch_id = ab.batch_id AND e."offset" = o."offset"
      JOIN effect x ON x.run_id = e.run_id AND x.identity = e.identity
     WHERE ab.attempt_id = of_attempt
     ORDER BY o."offset"
$$;

-- As before (rules.sql), but for an attempt that was decided: it ends as the decision says, with those places and no others,
-- and no scan of it says anything any more.
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
        ('UNDECIDABLE', 'ACKED'), ('UNDECIDABLE', 'ABSENT'), ('UNDECIDABLE', 'PARTIAL')) THEN
        PERFORM refuse('attempt_transition', format('attempt %s: %s does not become %s', OLD.id, OLD.state, NEW.state));
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
    RETURN NEW;
END $$;

-- What a decision about an attempt would be of: the last scan, which could not answer, and where the effects of its events lie.
-- The one rule, for whoever asks for a decision, makes it, or stores it. Null: there is no such attempt.
CREATE FUNCTION decision_facts(of_attempt bigint) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
               'attempt', a.id, 'state', a.state, 'over', a.over_at IS NOT NULL, 'topic_id', a.topic_id,
               'scan', coalesce(s.id, 0), 'why', coalesce(s.why, ''), 'events', a.events,
               'present', f.present, 'absent', a.events - f.present, 'places', f.places)
      FROM attempt a
      LEFT JOIN LATERAL (SELECT id, why FROM scan WHERE attempt_id = a.id ORDER BY id DESC LIMIT 1) s ON true
     CROSS JOIN LATERAL (
           SELECT count(*) AS present,
                  encode(sha256(convert_to(coalesce(string_agg(concat_ws(' ', x."offset", x.bus_source_id, x.bus_offset), E'\n'
                                                               ORDER BY x."offset"), ''), 'UTF8')), 'hex') AS places
             FROM attempt_effects(a.id) x) f
     WHERE a.id = of_attempt
$$;
