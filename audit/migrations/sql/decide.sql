-- A verdict names every decision about an attempt that carries events of its window, whatever it says besides: for ever.

CREATE FUNCTION window_decisions(of_win integer) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object(
               'attempt', d.attempt_id, 'plan', d.plan, 'requested_by', d.requested_by, 'approved_by', d.approved_by,
               'reason', d.reason, 'present', cardinality(d.offsets), 'absent', d.absent) ORDER BY d.attempt_id), '[]')
      FROM attempt_decision d
     WHERE EXISTS (SELECT FROM attempt_batch ab JOIN batch b ON b.id = ab.batch_id
                    WHERE ab.attempt_id = d.attempt_id AND b.win = of_win)
$$;

CREATE FUNCTION verdict_names_decisions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF coalesce(NEW.body -> 'decisions', '[]') IS DISTINCT FROM window_decisions(NEW.win) THEN
        PERFORM refuse('verdict_names_decisions', 'the decisions are not those about the attempts of its window');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER verdict_names_decisions BEFORE INSERT ON verdict FOR EACH ROW EXECUTE FUNCTION verdict_names_decisions();
