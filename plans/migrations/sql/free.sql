-- Free records: what a contract lets one person have read or published again in a day without a second person. Whether a plan is
-- free is said here and nowhere else, by what it binds and by the stream's newest contract: verbs and pages ask these functions.

-- Records of a plan of a kind that may be free; null where a second person is always wanted: a waiver, a decision, a basis and an
-- end of re-checks, a run that takes a window's place, and bytes that a person wrote.
CREATE FUNCTION plan_records(of_kind text, binds jsonb) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN of_kind = 'redrive' AND NOT binds -> 'asked' ? 'corrections' THEN jsonb_array_length(binds -> 'items')::bigint
        WHEN of_kind = 'replay' AND binds -> 'asked' ->> 'mode' = 'prove' AND NOT binds -> 'facts' ? 'fresh' THEN
            (SELECT sum((o ->> 'to')::bigint - (o ->> 'from')::bigint)::bigint FROM jsonb_array_elements(binds -> 'origin') o)
        WHEN of_kind = 'republish' THEN  -- by the ledger: what the plan says of it is information
            (SELECT CASE WHEN bool_and(a.id IS NOT NULL) THEN sum(a.events)::bigint END
               FROM jsonb_array_elements_text(binds -> 'items') i
               LEFT JOIN attempt a ON a.id = CASE WHEN i ~ '^[0-9]{1,18}$' THEN i::bigint END)
    END
$$;

-- How many of them a person has had on the day (UTC) of a moment. A plan counts from its approval on, whole, however far it ran;
-- one that was over before it began gives them back.
CREATE FUNCTION free_records_used(of_stream bigint, of_person text, at timestamptz) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT coalesce(sum(p.free_records), 0)::bigint
      FROM plan p
     WHERE p.stream_id = of_stream AND p.approved_person = of_person AND p.free_records IS NOT NULL
       AND p.approved_at >= date_trunc('day', at, 'UTC') AND p.approved_at < date_trunc('day', at, 'UTC') + interval '24 hours'
       AND NOT (p.started_at IS NULL AND p.state IN ('VOID', 'EXPIRED'))
$$;

-- What a plan's requester needs to know: the most of a day by the newest contract, how many are used today, and the plan's own.
CREATE FUNCTION plan_free(number bigint, OUT contract_id bigint, OUT most integer, OUT used bigint, OUT records bigint)
LANGUAGE sql STABLE AS $$
    SELECT c.id, c.free_records, free_records_used(p.stream_id, p.requested_person, clock_timestamp()),
           plan_records(p.kind, p.binds)
      FROM plan p
      LEFT JOIN LATERAL (SELECT id, free_records FROM contract WHERE stream_id = p.stream_id ORDER BY version DESC LIMIT 1) c ON true
     WHERE p.id = number
$$;

-- Whether its requester may start a plan alone, now.
CREATE FUNCTION plan_starts_alone(number bigint) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce(f.records <= f.most - f.used, false) FROM plan_free(number) f
$$;

-- An approval by who asked. A stream's free records are counted one plan after the other, under its row's lock; with an older
-- snapshot two would not see one another. The trigger's name comes behind plan_transition: the moment of approval is that of the count.
CREATE FUNCTION plan_approved_alone() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    free record;
BEGIN
    IF OLD.state <> 'SUBMITTED' OR NEW.state <> 'APPROVED' OR NEW.approved_person IS DISTINCT FROM NEW.requested_person THEN
        IF (NEW.free_records, NEW.free_by_id) IS DISTINCT FROM (OLD.free_records, OLD.free_by_id) THEN
            PERFORM refuse('plan_approval_fixed', 'what ran free is what the database counted');
        END IF;
        RETURN NEW;
    END IF;
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        PERFORM refuse('plan_four_eyes', 'free records are counted in a READ COMMITTED transaction');
    END IF;
    PERFORM FROM stream WHERE id = NEW.stream_id FOR NO KEY UPDATE;
    NEW.approved_at := clock_timestamp();
    SELECT * INTO free FROM plan_free(NEW.id);
    IF free.records IS NULL OR free.records > free.most - free.used THEN
        PERFORM refuse('plan_four_eyes', CASE
            WHEN free.records IS NULL THEN format('plan %s is approved by who asked for it', NEW.id)
            ELSE format('plan %s is of %s records, and %s of %s free ones are left of the day', NEW.id, free.records,
                        greatest(free.most - free.used, 0), free.most) END);
    END IF;
    NEW.free_records := free.records;
    NEW.free_by_id := free.contract_id;
    RETURN NEW;
END $$;
CREATE TRIGGER plan_transition_alone BEFORE UPDATE ON plan FOR EACH ROW EXECUTE FUNCTION plan_approved_alone();
