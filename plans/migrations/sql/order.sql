-- Events that come late for their Kafka key, by a consent that is part of what is signed.

-- As before (reruns.sql); the consent of a rerun is its plan's.
CREATE OR REPLACE FUNCTION rerun_of_its_plan() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    p plan;
    w run_window;
    r run;
BEGIN
    SELECT * INTO p FROM plan WHERE id = NEW.plan;
    SELECT * INTO w FROM run_window WHERE id = NEW.win;
    SELECT * INTO r FROM run WHERE id = w.run_id;
    IF p.id IS NULL OR p.kind NOT IN ('redrive', 'replay')
       OR (p.state, p.kind, p.win, p.requested_by, p.approved_by, p.reason, p.binds -> 'facts' ->> 'fresh',
           p.binds -> 'asked' ? 'out_of_order')
          IS DISTINCT FROM ('RUNNING', NEW.kind, coalesce(w.reruns, r.supersedes), NEW.requested_by, NEW.approved_by, NEW.reason,
                            CASE WHEN w.reruns IS NULL THEN r.name END, NEW.out_of_order)
       OR w.contract_id IS DISTINCT FROM (SELECT c.id FROM contract c WHERE c.stream_id = p.stream_id
                                             AND c.version = (p.binds -> 'asked' ->> 'contract')::integer) THEN
        PERFORM refuse('rerun_of_its_plan', format('plan %s asks for no such rerun', NEW.plan));
    END IF;
    RETURN NEW;
END $$;

-- As before (free.sql); a consent to another order is nobody's alone.
CREATE OR REPLACE FUNCTION plan_records(of_kind text, binds jsonb) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN binds -> 'asked' ? 'out_of_order' THEN NULL
        WHEN of_kind = 'redrive' AND NOT binds -> 'asked' ? 'corrections' THEN jsonb_array_length(binds -> 'items')::bigint
        WHEN of_kind = 'replay' AND binds -> 'asked' ->> 'mode' = 'prove' AND NOT binds -> 'facts' ? 'fresh' THEN
            (SELECT sum((o ->> 'to')::bigint - (o ->> 'from')::bigint)::bigint FROM jsonb_array_elements(binds -> 'origin') o)
        WHEN of_kind = 'republish' THEN  -- by the ledger: what the plan says of it is information
            (SELECT CASE WHEN bool_and(a.id IS NOT NULL) THEN sum(a.events)::bigint END
               FROM jsonb_array_elements_text(binds -> 'items') i
               LEFT JOIN attempt a ON a.id = CASE WHEN i ~ '^[0-9]{1,18}$' THEN i::bigint END)
    END
$$;
