-- What plans decide, and what they publish again: nobody else does either.

ALTER TABLE attempt_decision ADD CONSTRAINT attempt_decision_plan_fk FOREIGN KEY (plan) REFERENCES plan (id);

-- A decision is what a running plan binds, in every word, of the attempt as it is: present is what has an effect, at its place,
-- and everything else is absent. Who stores it holds the positions of the lanes that could change that.
CREATE FUNCTION decision_of_its_plan() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    p plan;
    found record;
BEGIN
    SELECT * INTO p FROM plan WHERE id = NEW.plan;
    IF p.id IS NULL OR (p.kind, p.state, p.binds -> 'facts' -> 'attempt', p.binds -> 'facts' -> 'scan', p.requested_by,
        p.approved_by, p.reason)
       IS DISTINCT FROM ('decide', 'RUNNING', to_jsonb(NEW.attempt_id), to_jsonb(NEW.scan_id), NEW.requested_by,
        NEW.approved_by, NEW.reason) THEN
        PERFORM refuse('decision_of_its_plan', format('plan %s does not decide this', NEW.plan));
    END IF;
    IF p.binds -> 'facts' IS DISTINCT FROM decision_facts(NEW.attempt_id) THEN
        PERFORM refuse('decision_of_its_plan', format('what plan %s decides has changed', NEW.plan));
    END IF;
    IF p.binds -> 'facts' ->> 'state' <> 'UNDECIDABLE' OR (p.binds -> 'facts' -> 'over')::boolean THEN
        PERFORM refuse('decision_of_undecidable', format('attempt %s waits for no decision', NEW.attempt_id));
    END IF;
    SELECT coalesce(array_agg(x."offset" ORDER BY x."offset"), '{}') AS offsets,
           coalesce(array_agg(x.bus_source_id ORDER BY x."offset"), '{}') AS sources,
           coalesce(array_agg(x.bus_offset ORDER BY x."offset"), '{}') AS places
      INTO found FROM attempt_effects(NEW.attempt_id) x;
    IF (NEW.offsets, NEW.bus_sources, NEW.bus_offsets, NEW.absent)
       IS DISTINCT FROM (found.offsets, found.sources, found.places, (p.binds -> 'facts' -> 'absent')::integer) THEN
        PERFORM refuse('decision_of_effects', 'present is what has an effect, at its place, and nothing else');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER decision_of_its_plan BEFORE INSERT ON attempt_decision
    FOR EACH ROW EXECUTE FUNCTION decision_of_its_plan();

-- What was proven absent is queued again by a running plan that names its attempt, where the contract wants one. A batch that was
-- never sent, or that nothing left for, is the lane's own to queue. One look a batch of up to 5,000 records.
CREATE FUNCTION republish_of_its_plan() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    newest record;
BEGIN
    SELECT a.id, a.state INTO newest
      FROM attempt_batch ab JOIN attempt a ON a.id = ab.attempt_id WHERE ab.batch_id = NEW.batch_id ORDER BY a.id DESC LIMIT 1;
    IF newest.state IN ('ABSENT', 'PARTIAL')
       AND (SELECT c.republish_by_plan FROM batch b JOIN contract c ON c.id = b.contract_id WHERE b.id = NEW.batch_id)
       AND NOT EXISTS (SELECT FROM plan p JOIN plan_item i ON i.plan_id = p.id
                        WHERE p.state = 'RUNNING' AND p.kind = 'republish' AND i.outcome IS NULL
                          AND i.subject = newest.id::text) THEN
        PERFORM refuse('republish_of_its_plan',
                       format('no plan that runs publishes what attempt %s did not again', newest.id));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER republish_of_its_plan BEFORE INSERT ON publish_queue
    FOR EACH ROW EXECUTE FUNCTION republish_of_its_plan();
