-- What redrives and replays give: windows that they fill, held against the plan that runs.

ALTER TABLE rerun ADD CONSTRAINT rerun_plan_fk FOREIGN KEY (plan) REFERENCES plan (id);
CREATE FUNCTION rerun_of_its_plan() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    p plan;
    w run_window;
    r run;
BEGIN
    SELECT * INTO p FROM plan WHERE id = NEW.plan;
    SELECT * INTO w FROM run_window WHERE id = NEW.win;
    SELECT * INTO r FROM run WHERE id = w.run_id;
    IF p.id IS NULL OR p.kind NOT IN ('redrive', 'replay')
       OR (p.state, p.kind, p.win, p.requested_by, p.approved_by, p.reason, p.binds -> 'facts' ->> 'fresh')
          IS DISTINCT FROM ('RUNNING', NEW.kind, coalesce(w.reruns, r.supersedes), NEW.requested_by, NEW.approved_by, NEW.reason,
                            CASE WHEN w.reruns IS NULL THEN r.name END)
       OR w.contract_id IS DISTINCT FROM (SELECT c.id FROM contract c WHERE c.stream_id = p.stream_id
                                             AND c.version = (p.binds -> 'asked' ->> 'contract')::integer) THEN
        PERFORM refuse('rerun_of_its_plan', format('plan %s asks for no such rerun', NEW.plan));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER rerun_of_its_plan BEFORE INSERT ON rerun FOR EACH ROW EXECUTE FUNCTION rerun_of_its_plan();

ALTER TABLE redrive ADD CONSTRAINT redrive_plan_fk FOREIGN KEY (plan) REFERENCES plan (id);
CREATE FUNCTION redrive_of_its_plan() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM added a
                 LEFT JOIN plan p ON p.id = a.plan AND p.kind = 'redrive' AND p.state = 'RUNNING'
                 LEFT JOIN rerun x ON x.plan = p.id
                 LEFT JOIN window_range g ON g.win = x.win AND g.source_id = a.source_id
                 LEFT JOIN plan_item i ON i.plan_id = p.id AND i.ordinal = a."offset" AND i.subject = a.item_id::text
                                      AND i.outcome IS NULL
                WHERE g.source_id IS NULL OR i.plan_id IS NULL
                   OR (a.corrected_by IS NOT NULL) <> coalesce(p.binds #> ARRAY['asked', 'corrections'] ? a.item_id::text, false)
                   OR a.corrected_by <> p.requested_by) THEN
        PERFORM refuse('redrive_of_its_plan', 'the plan redrives no such item now');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER redrive_of_its_plan AFTER INSERT ON redrive REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION redrive_of_its_plan();

-- What a plan reads again is what it binds: each of its sources one range, and each range once.
CREATE FUNCTION origin_of_its_plan() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM window_range g JOIN rerun x ON x.win = g.win
                     JOIN plan p ON p.id = x.plan AND p.kind = 'replay' AND p.state = 'RUNNING'
                     JOIN plan_origin o ON o.plan_id = p.id AND o.source_id = NEW.origin_source_id
                      AND (o.from_offset, o.to_offset) = (NEW.start_offset, NEW.end_offset)
                    WHERE g.source_id = NEW.source_id
                      AND NOT EXISTS (SELECT FROM window_range e JOIN origin n ON n.source_id = e.source_id
                                       WHERE e.win = g.win AND n.origin_source_id = NEW.origin_source_id)) THEN
        PERFORM refuse('origin_of_its_plan', format('no plan that runs reads [%s, %s) of source %s again',
                                                    NEW.start_offset, NEW.end_offset, NEW.origin_source_id));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER origin_of_its_plan BEFORE INSERT ON origin FOR EACH ROW EXECUTE FUNCTION origin_of_its_plan();
