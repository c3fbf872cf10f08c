-- The gate's answers: a row for every question of every reader. No verdict stands on them; the least age is a week, so that
-- nobody who may ask for this hides what was let in today.
DROP TRIGGER append_only ON gate_decision;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON gate_decision
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_but_by_age('DELETE');

-- The oldest by number, which is nearly by time: so that no look reads the whole table.
CREATE FUNCTION forget_gate_decisions(older interval, most integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE forgotten bigint;
BEGIN
    IF older IS NULL OR older < interval '7 days' THEN
        PERFORM refuse('retention_at_least_a_week', format('decisions of the gate younger than %s are kept', older));
    END IF;
    PERFORM set_config('passgate.by_age', 'gate_decision', true);
    DELETE FROM gate_decision
     WHERE id IN (SELECT id FROM (SELECT id, at FROM gate_decision ORDER BY id LIMIT most) oldest
                   WHERE oldest.at < clock_timestamp() - older);
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    PERFORM set_config('passgate.by_age', '', true);
    RETURN forgotten;
END $$;
REVOKE ALL ON FUNCTION forget_gate_decisions(interval, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION forget_gate_decisions(interval, integer) TO passgate_app;
