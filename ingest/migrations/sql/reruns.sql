-- Reruns: windows beside the chain of windows, whose only sources are plans.

-- A rerun is of a window of its own run, which is no rerun itself; a window keeps what it is.
CREATE FUNCTION window_is_no_rerun_of_a_rerun() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE first run_window;
BEGIN
    SELECT * INTO first FROM run_window WHERE id = NEW.reruns;
    IF first.reruns IS NOT NULL OR (first.run_id, first.number) IS DISTINCT FROM (NEW.run_id, NEW.number) THEN
        PERFORM refuse('window_rerun_of_window', format('window %s cannot be rerun as window %s of run %s',
                                                        NEW.reruns, NEW.number, NEW.run_id));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER window_rerun_of_window BEFORE INSERT ON run_window FOR EACH ROW WHEN (NEW.reruns IS NOT NULL)
    EXECUTE FUNCTION window_is_no_rerun_of_a_rerun();

CREATE FUNCTION window_keeps_its_rerun() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse('window_fixed', 'a window keeps what it reruns');
    RETURN NULL;
END $$;
CREATE TRIGGER window_keeps_its_rerun BEFORE UPDATE OF rerun, by_plan ON run_window FOR EACH ROW
    WHEN ((NEW.rerun, NEW.by_plan) IS DISTINCT FROM (OLD.rerun, OLD.by_plan)) EXECUTE FUNCTION window_keeps_its_rerun();

-- A fresh run is cut from its beginning: no inbox is bound to it. It takes the place of a window of its stream that is cut, and
-- is no fresh run's itself; its only window is a plan's, and so is every rerun.
CREATE FUNCTION run_takes_a_place() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state = 'OPEN' OR NOT EXISTS (
           SELECT FROM run_window w JOIN run r ON r.id = w.run_id
            WHERE w.id = NEW.supersedes AND w.state = 'CUT' AND NOT w.by_plan AND r.stream_id = NEW.stream_id) THEN
        PERFORM refuse('run_takes_a_place', format('run %s cannot take the place of window %s', NEW.name, NEW.supersedes));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER run_takes_a_place BEFORE INSERT ON run FOR EACH ROW WHEN (NEW.supersedes IS NOT NULL)
    EXECUTE FUNCTION run_takes_a_place();
CREATE FUNCTION run_keeps_its_place() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse('run_fixed', 'a run keeps whose place it takes');
    RETURN NULL;
END $$;
CREATE TRIGGER run_keeps_its_place BEFORE UPDATE OF supersedes ON run FOR EACH ROW
    WHEN (NEW.supersedes IS DISTINCT FROM OLD.supersedes) EXECUTE FUNCTION run_keeps_its_place();
CREATE FUNCTION window_of_a_plans_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.reruns IS NULL AND NEW.by_plan <> (SELECT r.supersedes IS NOT NULL FROM run r WHERE r.id = NEW.run_id) THEN
        PERFORM refuse('window_of_a_plans_run', format('run %s has no such window', NEW.run_id));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER window_of_a_plans_run BEFORE INSERT ON run_window FOR EACH ROW EXECUTE FUNCTION window_of_a_plans_run();

-- What is looked up in the run before is looked up in the one whose window a fresh run takes the place of; nobody looks back on
-- a fresh run.
CREATE OR REPLACE FUNCTION run_before(run integer) RETURNS integer LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN me.supersedes IS NOT NULL THEN (SELECT w.run_id FROM run_window w WHERE w.id = me.supersedes)
                ELSE (SELECT max(p.id) FROM run p WHERE p.id < $1 AND p.stream_id = me.stream_id AND p.supersedes IS NULL) END
      FROM run me WHERE me.id = $1
$$;

-- A window that a plan fills has plan sources and no others, and a plan source is such a window's.
CREATE FUNCTION window_range_of_its_kind() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT s.kind = 'plan' FROM source s WHERE s.id = NEW.source_id)
       IS DISTINCT FROM (SELECT w.by_plan FROM run_window w WHERE w.id = NEW.win) THEN
        PERFORM refuse('window_range_of_its_kind', format('source %s is none for window %s', NEW.source_id, NEW.win));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER window_range_of_its_kind BEFORE INSERT ON window_range FOR EACH ROW EXECUTE FUNCTION window_range_of_its_kind();

SELECT guard_append_only('rerun_end'::regclass);
SELECT guard_append_only('redrive'::regclass);
SELECT guard_append_only('origin'::regclass);
GRANT SELECT, INSERT ON rerun_end, redrive, origin TO passgate_app;
GRANT SELECT ON rerun_end, redrive, origin TO passgate_auditor;

-- What was sent through admission again has the receipt that says so, and the item is that of one of its run's windows.
CREATE FUNCTION redrive_has_its_receipt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM receipt t JOIN source s ON s.id = t.source_id AND s.kind = 'plan'
                    WHERE t.source_id = NEW.source_id AND t."offset" = NEW."offset"
                      AND (t.decision, t.reason) = (NEW.decision, NEW.reason)) THEN
        PERFORM refuse('redrive_has_its_receipt', format('nothing at %s@%s says so', NEW.source_id, NEW."offset"));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER redrive_has_its_receipt BEFORE INSERT ON redrive FOR EACH ROW EXECUTE FUNCTION redrive_has_its_receipt();

-- REDRIVEN is said of an item that became an event, by whoever made it one.
CREATE FUNCTION quarantine_redriven_by_plan() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM redrive d WHERE d.item_id = NEW.id AND d.decision IN (1, 2)) THEN
        PERFORM refuse('quarantine_redriven_by_plan', format('no plan has redriven item %s', NEW.id));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER quarantine_redriven_by_plan BEFORE UPDATE OF resolution ON quarantine_item FOR EACH ROW
    WHEN (NEW.resolution = 'REDRIVEN') EXECUTE FUNCTION quarantine_redriven_by_plan();
