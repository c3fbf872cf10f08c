-- Windows of a source lie one behind the other: no offset is in two of them, and none between two is in none. Whoever binds a
-- source has locked its position (inbox) or the range before (bus), so that what is read here is settled.
CREATE FUNCTION window_range_chain() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE before record;
BEGIN
    SELECT win, end_offset INTO before FROM window_range
     WHERE source_id = NEW.source_id AND win <> NEW.win ORDER BY win DESC LIMIT 1;
    IF FOUND AND before.win > NEW.win THEN
        PERFORM refuse('window_range_chain', format('window %s has source %s already, which is a later one',
                                                    before.win, NEW.source_id));
    ELSIF FOUND AND before.end_offset IS DISTINCT FROM NEW.start_offset THEN
        PERFORM refuse('window_range_chain', format('source %s: window %s ends at %s, and window %s would begin at %s',
                       NEW.source_id, before.win, coalesce(before.end_offset::text, 'no offset yet'), NEW.win, NEW.start_offset));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER window_range_chain BEFORE INSERT ON window_range FOR EACH ROW EXECUTE FUNCTION window_range_chain();

-- The run of a stream that opened before this one: what is looked up there as well is flagged LOOKED_BACK (512).
CREATE FUNCTION run_before(run integer) RETURNS integer LANGUAGE sql STABLE AS $$
    SELECT max(p.id) FROM run p WHERE p.id < $1 AND p.stream_id = (SELECT r.stream_id FROM run r WHERE r.id = $1)
$$;

-- Until when a cut window is complete is measured once.
CREATE FUNCTION window_complete_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.complete_until IS NOT NULL OR OLD.complete_why IS NOT NULL OR NEW.state <> 'CUT'
       OR NEW.complete_until IS NOT NULL AND NEW.complete_until > clock_timestamp() THEN
        PERFORM refuse('window_complete_once', format('window %s: until when it is complete is measured once, after its cut',
                                                      OLD.id));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER window_complete_once BEFORE UPDATE OF complete_until, complete_why ON run_window FOR EACH ROW
    WHEN ((NEW.complete_until, NEW.complete_why) IS DISTINCT FROM (OLD.complete_until, OLD.complete_why))
    EXECUTE FUNCTION window_complete_once();
GRANT UPDATE (complete_until, complete_why) ON run_window TO passgate_app;
