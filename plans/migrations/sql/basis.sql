-- What the plans `basis` and `retire` give is what they bind, in every word, and is given by nobody else.

-- A generation that a plan appends follows on the one that was seen, and is the very one whose digest was approved.
ALTER TABLE basis ADD CONSTRAINT basis_plan_fk FOREIGN KEY (plan) REFERENCES plan (id);
CREATE FUNCTION basis_of_its_plan() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    p plan;
BEGIN
    SELECT * INTO p FROM plan WHERE id = NEW.plan;
    IF p.id IS NULL OR (p.kind, p.state, p.win, (p.binds -> 'facts' ->> 'generation')::integer + 1, p.binds -> 'facts' ->> 'next',
        format('plan %s (asked for by %s, approved by %s: %s)', p.id, p.requested_by, p.approved_by, p.reason))
       IS DISTINCT FROM ('basis', 'RUNNING', NEW.win, NEW.generation, encode(NEW.digest, 'hex'), NEW.why)
       OR NEW.digest IS DISTINCT FROM sha256(convert_to(canonical_json(NEW.facts), 'UTF8')) THEN
        PERFORM refuse('basis_of_its_plan', format('plan %s does not append this', NEW.plan));
    END IF;
    IF p.binds -> 'facts' ->> 'digest' IS DISTINCT FROM (
           SELECT encode(b.digest, 'hex') FROM basis b WHERE b.win = NEW.win AND b.generation = NEW.generation - 1) THEN
        PERFORM refuse('basis_of_its_plan', format('plan %s saw another generation', NEW.plan));
    END IF;
    IF EXISTS (SELECT FROM (SELECT state, waived FROM verdict WHERE win = NEW.win ORDER BY number DESC LIMIT 1) v
                WHERE v.state = 'FAIL' OR v.state = 'PASS' AND NOT v.waived) THEN
        PERFORM refuse('basis_of_its_plan', format('window %s has a verdict that stands', NEW.win));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER basis_of_its_plan BEFORE INSERT ON basis FOR EACH ROW WHEN (NEW.plan IS NOT NULL)
    EXECUTE FUNCTION basis_of_its_plan();

-- Re-checks end for an incarnation of which every window was judged, by a plan that binds just that.
ALTER TABLE recheck_end ADD CONSTRAINT recheck_end_plan_fk FOREIGN KEY (plan) REFERENCES plan (id);
CREATE FUNCTION recheck_end_of_its_plan() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    p plan;
BEGIN
    SELECT * INTO p FROM plan WHERE id = NEW.plan;
    IF p.id IS NULL OR (p.kind, p.state, p.stream_id, p.binds -> 'facts' ->> 'role', p.binds -> 'facts' ->> 'topic',
        p.binds -> 'facts' ->> 'cluster_id', p.binds -> 'facts' ->> 'topic_id', (p.binds -> 'facts' ->> 'last_window')::integer,
        p.requested_by, p.approved_by, p.reason)
       IS DISTINCT FROM ('retire', 'RUNNING', NEW.stream_id, NEW.role, NEW.topic, NEW.cluster_id, NEW.topic_id, NEW.last_win,
        NEW.requested_by, NEW.approved_by, NEW.reason) THEN
        PERFORM refuse('recheck_end_of_its_plan', format('plan %s does not end this', NEW.plan));
    END IF;
    IF EXISTS (SELECT FROM window_range r
                 JOIN source s ON s.id = r.source_id AND s.stream_id = NEW.stream_id AND s.role = NEW.role
                  AND s.cluster_id = NEW.cluster_id AND s.topic_id = NEW.topic_id
                WHERE r.win > NEW.last_win OR NOT EXISTS (SELECT FROM verdict v WHERE v.win = r.win)) THEN
        PERFORM refuse('recheck_end_of_its_plan', format('a window of %s is not judged yet', NEW.topic));
    END IF;
    NEW.ended_at := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER recheck_end_of_its_plan BEFORE INSERT ON recheck_end FOR EACH ROW EXECUTE FUNCTION recheck_end_of_its_plan();
