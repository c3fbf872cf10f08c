-- Some rows are no evidence of a verdict: they may age. One definer function a table does it, and it alone: nobody but the
-- owner has the right, and the trigger lets a change through only while that function says so in its own transaction.
CREATE FUNCTION refuse_change_but_by_age() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> TG_ARGV[0] OR current_setting('passgate.by_age', true) IS DISTINCT FROM TG_TABLE_NAME::text THEN
        RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP
            USING ERRCODE = 'check_violation', CONSTRAINT = 'append_only', TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NULL;
END $$;

DROP TRIGGER append_only ON foreign_record;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON foreign_record
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_but_by_age('UPDATE');

-- What a stranger wrote to the bus, as raw bytes. The row stays, with place, reason and time: that it was there is what
-- PUBLISHED of a verdict stands on, and not what it held. A week is the least, so that somebody can look.
CREATE FUNCTION forget_foreign_bytes(older interval, most integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE forgotten bigint;
BEGIN
    IF older IS NULL OR older < interval '7 days' THEN
        PERFORM refuse('retention_at_least_a_week', format('bytes of foreign records younger than %s are kept', older));
    END IF;
    PERFORM set_config('passgate.by_age', 'foreign_record', true);
    UPDATE foreign_record SET key = NULL, value = NULL, headers = NULL
     WHERE id IN (SELECT id FROM foreign_record
                   WHERE read_at < clock_timestamp() - older
                     AND (key IS NOT NULL OR value IS NOT NULL OR headers IS NOT NULL)
                   LIMIT most);
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    PERFORM set_config('passgate.by_age', '', true);
    RETURN forgotten;
END $$;
REVOKE ALL ON FUNCTION forget_foreign_bytes(interval, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION forget_foreign_bytes(interval, integer) TO passgate_app;
