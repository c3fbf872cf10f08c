-- What was lost with its bus is published again by a running plan of two people, and by nobody else.

ALTER TABLE attempt_loss ADD CONSTRAINT attempt_loss_plan_fk FOREIGN KEY (plan) REFERENCES plan (id);

-- A loss is what a running plan binds, of the attempt as it is: of the plan's window, which lanes filled, which is cut and has
-- failed; on a bus that the ledger knows to be gone. Kafka was asked before this transaction, and in it. One person is not enough,
-- whatever the contract lets one do.
CREATE FUNCTION loss_of_its_plan() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    p plan;
    a attempt;
    said jsonb;
BEGIN
    SELECT * INTO p FROM plan WHERE id = NEW.plan;
    SELECT * INTO a FROM attempt WHERE id = NEW.attempt_id;
    said := p.binds -> 'facts' -> 'attempts' -> NEW.attempt_id::text;
    IF p.id IS NULL OR (p.kind, p.state, p.requested_by, p.approved_by, p.reason, said ->> 'state', said ->> 'topic_id')
          IS DISTINCT FROM ('republish', 'RUNNING', NEW.requested_by, NEW.approved_by, NEW.reason, a.state, a.topic_id)
       OR said -> 'lost' IS DISTINCT FROM to_jsonb(a.events)
       OR NOT EXISTS (SELECT FROM plan_item i WHERE i.plan_id = p.id AND i.outcome IS NULL AND i.subject = NEW.attempt_id::text) THEN
        PERFORM refuse('loss_of_its_plan', format('plan %s does not say that attempt %s is lost', NEW.plan, NEW.attempt_id));
    END IF;
    IF p.approved_person IS NOT DISTINCT FROM p.requested_person THEN
        PERFORM refuse('loss_of_two_people', format('plan %s is of one person', NEW.plan));
    END IF;
    IF NOT EXISTS (SELECT FROM run_window w WHERE w.id = p.win AND w.state = 'CUT' AND NOT w.by_plan
                      AND EXISTS (SELECT FROM verdict v WHERE v.win = w.id AND v.state = 'FAIL'))
       OR EXISTS (SELECT FROM attempt_batch ab JOIN batch b ON b.id = ab.batch_id
                   WHERE ab.attempt_id = NEW.attempt_id AND b.win IS DISTINCT FROM p.win) THEN
        PERFORM refuse('loss_of_its_window', format('attempt %s is of no window that failed, and that plan %s is of', NEW.attempt_id, NEW.plan));
    END IF;
    IF (NEW.cluster_id, NEW.topic, NEW.topic_id, NEW.found_topic_id)
          IS DISTINCT FROM (a.cluster_id, a.topic, a.topic_id, bus_after(NEW.attempt_id))
       OR p.binds -> 'facts' -> 'bus' ->> 'topic_id' IS DISTINCT FROM NEW.found_topic_id THEN
        PERFORM refuse('loss_of_a_bus_that_is_gone', format('%s with id %s is not known to be gone', NEW.topic, NEW.topic_id));
    END IF;
    IF NEW.seen_at <= clock_timestamp() - interval '10 min' OR NEW.seen_at >= NEW.measured_at
       OR NEW.measured_at < transaction_timestamp() OR NEW.measured_at > clock_timestamp() THEN
        PERFORM refuse('loss_measured_now', 'Kafka was asked too long ago, or once');
    END IF;
    NEW.lost_at := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER loss_of_its_plan BEFORE INSERT ON attempt_loss FOR EACH ROW EXECUTE FUNCTION loss_of_its_plan();

-- As before (decide.sql); and what is lost is queued again by its plan alone, whatever the contract does by itself.
CREATE OR REPLACE FUNCTION republish_of_its_plan() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    newest record;
BEGIN
    SELECT a.id, a.state INTO newest
      FROM attempt_batch ab JOIN attempt a ON a.id = ab.attempt_id WHERE ab.batch_id = NEW.batch_id ORDER BY a.id DESC LIMIT 1;
    IF (newest.state = 'LOST'
        OR newest.state IN ('ABSENT', 'PARTIAL')
           AND (SELECT c.republish_by_plan FROM batch b JOIN contract c ON c.id = b.contract_id WHERE b.id = NEW.batch_id))
       AND NOT EXISTS (SELECT FROM plan p JOIN plan_item i ON i.plan_id = p.id
                        WHERE p.state = 'RUNNING' AND p.kind = 'republish' AND i.outcome IS NULL
                          AND i.subject = newest.id::text) THEN
        PERFORM refuse('republish_of_its_plan',
                       format('no plan that runs publishes what attempt %s did not again', newest.id));
    END IF;
    RETURN NEW;
END $$;

-- As before (order.sql); what was lost with its bus is never free.
CREATE OR REPLACE FUNCTION plan_records(of_kind text, binds jsonb) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN binds -> 'asked' ? 'out_of_order' THEN NULL
        WHEN of_kind = 'redrive' AND NOT binds -> 'asked' ? 'corrections' THEN jsonb_array_length(binds -> 'items')::bigint
        WHEN of_kind = 'replay' AND binds -> 'asked' ->> 'mode' = 'prove' AND NOT binds -> 'facts' ? 'fresh' THEN
            (SELECT sum((o ->> 'to')::bigint - (o ->> 'from')::bigint)::bigint FROM jsonb_array_elements(binds -> 'origin') o)
        WHEN of_kind = 'republish' AND NOT jsonb_path_exists(binds, '$.facts.attempts.*.lost') THEN  -- by the ledger: what the plan says of it is information
            (SELECT CASE WHEN bool_and(a.id IS NOT NULL) THEN sum(a.events)::bigint END
               FROM jsonb_array_elements_text(binds -> 'items') i
               LEFT JOIN attempt a ON a.id = CASE WHEN i ~ '^[0-9]{1,18}$' THEN i::bigint END)
    END
$$;
