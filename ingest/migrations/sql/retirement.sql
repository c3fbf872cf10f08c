-- A log that is gone for good, an attempt that went to it, and control totals that stand: what the database refuses.

SELECT guard_append_only('retirement'::regclass);
GRANT SELECT, INSERT ON retirement TO passgate_app;
GRANT SELECT ON retirement TO passgate_auditor;
GRANT UPDATE (over_at) ON attempt TO passgate_app;

-- Nobody will ever know what landed on a log that is gone, and nobody needs to: such an attempt is over, which is written
-- down once. Any other attempt without outcome still holds its lane.
CREATE FUNCTION attempt_is_over() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.over_at IS NOT NULL THEN
        PERFORM refuse('attempt_over_once', format('attempt %s is over already', OLD.id));
    END IF;
    IF NEW.state NOT IN ('PREPARED', 'UNKNOWN', 'UNDECIDABLE') THEN
        PERFORM refuse('attempt_over_unsettled', format('attempt %s is %s: it has an outcome', OLD.id, NEW.state));
    END IF;
    IF NOT EXISTS (SELECT FROM attempt_partition p JOIN retirement r ON r.source_id = p.bus_source_id
                    WHERE p.attempt_id = NEW.id) THEN
        PERFORM refuse('attempt_over_with_its_log', format('attempt %s went to a log that is there', OLD.id));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER attempt_is_over BEFORE UPDATE OF over_at ON attempt FOR EACH ROW
    WHEN (NEW.over_at IS DISTINCT FROM OLD.over_at) EXECUTE FUNCTION attempt_is_over();

-- What the producer says it sent is said before the cut: after it, one person could make any window's total fit. The share
-- lock waits for a cut under way, and a cut waits for it.
CREATE FUNCTION control_total_stands() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE now_ text;
BEGIN
    SELECT state INTO now_ FROM run_window WHERE id = NEW.win FOR SHARE;
    IF now_ IS DISTINCT FROM 'OPEN' THEN
        PERFORM refuse('control_total_before_cut', format('window %s is %s: its totals stand', NEW.win, now_));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER control_total_stands BEFORE INSERT ON control_total FOR EACH ROW EXECUTE FUNCTION control_total_stands();
