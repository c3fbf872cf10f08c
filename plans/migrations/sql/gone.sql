-- What a plan passes over because it is gone, it passes over while it runs.
CREATE FUNCTION gone_of_its_plan() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM window_range g JOIN rerun x ON x.win = g.win
                     JOIN plan p ON p.id = x.plan AND p.kind = 'replay' AND p.state = 'RUNNING'
                      AND p.binds -> 'asked' ->> 'mode' = 'prove'
                    WHERE g.source_id = NEW.source_id) THEN
        PERFORM refuse('gone_of_its_plan', format('no plan that proves a window reads source %s now', NEW.source_id));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER gone_of_its_plan BEFORE INSERT ON gap FOR EACH ROW WHEN (NEW.why = 'GONE') EXECUTE FUNCTION gone_of_its_plan();
