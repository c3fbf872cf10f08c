-- A bus batch says how many further copies it read, and of which windows' events: at COMMIT both say the same number.

-- Of before: nobody wrote down whose they were. They go to the window in whose range the batch begins, the newest such.
INSERT INTO bus_copies (bus_batch_id, win, copies, first_offset)
SELECT b.id, r.win, b.duplicates, b.from_offset
  FROM bus_batch b
 CROSS JOIN LATERAL (SELECT max(win) AS win FROM window_range
                      WHERE source_id = b.source_id AND start_offset <= b.from_offset) r
 WHERE b.duplicates > 0 AND r.win IS NOT NULL;

CREATE FUNCTION copies_are_told(batch bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    read integer := (SELECT duplicates FROM bus_batch WHERE id = batch);
    told bigint := (SELECT coalesce(sum(copies), 0) FROM bus_copies WHERE bus_batch_id = batch);
BEGIN
    IF read IS DISTINCT FROM told THEN
        PERFORM refuse('bus_copies_told', format('bus batch %s read %s copies, of which %s have a window', batch, read, told));
    END IF;
END $$;

CREATE FUNCTION bus_batch_copies_told() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM copies_are_told(NEW.id);
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER bus_batch_copies_told AFTER INSERT ON bus_batch
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.duplicates > 0) EXECUTE FUNCTION bus_batch_copies_told();

CREATE FUNCTION bus_copies_told() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM copies_are_told(NEW.bus_batch_id);
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER bus_copies_told AFTER INSERT ON bus_copies
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION bus_copies_told();

SELECT guard_append_only('bus_copies'::regclass);
GRANT SELECT, INSERT ON bus_copies TO passgate_app;
GRANT USAGE ON SEQUENCE bus_copies_id_seq TO passgate_app;
GRANT SELECT ON bus_copies TO passgate_auditor;
