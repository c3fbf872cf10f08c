-- Approvals: each is a row that nobody changes, and a plan that binds several becomes APPROVED with the last of them. How many are
-- needed is said here and nowhere else, by contracts as they are; a plan keeps what it binds, and its digest is over that.

-- How many a plan needs now: what the stream's newest contract asks for, or that of the window it is about, whichever is more. An
-- adoption is of the ledger of all streams: the strictest of them says.
CREATE FUNCTION plan_approvals_needed(of_kind text, of_stream bigint, of_win bigint) RETURNS integer LANGUAGE sql STABLE AS $$
    SELECT greatest(1,
        (SELECT max(n.approvals)
           FROM stream s
          CROSS JOIN LATERAL (SELECT approvals FROM contract WHERE stream_id = s.id ORDER BY version DESC LIMIT 1) n
          WHERE s.id = of_stream OR of_kind = 'adopt'),
        (SELECT c.approvals FROM run_window w JOIN contract c ON c.id = w.contract_id WHERE w.id = of_win))::integer
$$;

-- How many a plan binds; one is not written.
CREATE FUNCTION plan_approvals_bound(binds jsonb) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce((binds ->> 'approvals')::integer, 1)
$$;

-- ------------------------------------------------------------------ a plan binds how many
CREATE FUNCTION plan_binds_its_approvals() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    needed integer := plan_approvals_needed(NEW.kind, NEW.stream_id, NEW.win);
BEGIN
    IF NEW.binds ? 'approvals' AND NOT (jsonb_typeof(NEW.binds -> 'approvals') = 'number' AND NEW.binds ->> 'approvals' ~ '^([2-9]|10)$') THEN
        PERFORM refuse('plan_approvals_of_contract', 'a plan binds from 2 to 10 approvals, or does not say how many: one');
    END IF;
    IF plan_approvals_bound(NEW.binds) < needed THEN
        PERFORM refuse('plan_approvals_of_contract',
                       format('the contract asks for %s approvals, the plan binds %s', needed, plan_approvals_bound(NEW.binds)));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER plan_begins_approvals BEFORE INSERT ON plan FOR EACH ROW EXECUTE FUNCTION plan_binds_its_approvals();

-- ------------------------------------------------------------------ an approval is given
-- Those of before have their rows.
INSERT INTO plan_approval (plan_id, ordinal, who, person, digest, why, at)
SELECT id, 1, approved_by, approved_person, approved_digest, coalesce(decided_reason, ''), approved_at
  FROM plan WHERE approved_by IS NOT NULL AND free_records IS NULL;

-- One after the other, under the plan's lock: of two at once the second finds the first.
CREATE FUNCTION plan_approval_is_given() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    p plan;
BEGIN
    SELECT * INTO p FROM plan WHERE id = NEW.plan_id FOR UPDATE;
    IF p.id IS NULL OR p.state <> 'SUBMITTED' THEN
        PERFORM refuse('plan_approval_waits', format('plan %s is %s: it waits for no approval', NEW.plan_id, p.state));
    END IF;
    IF NEW.person = p.requested_person THEN
        PERFORM refuse('plan_four_eyes', format('plan %s is approved by who asked for it', NEW.plan_id));
    END IF;
    IF NEW.digest IS DISTINCT FROM p.digest THEN
        PERFORM refuse('plan_approves_its_digest', format('the approval is of another digest than that of plan %s', NEW.plan_id));
    END IF;
    NEW.at := clock_timestamp();
    IF p.expires_at <= NEW.at THEN
        PERFORM refuse('plan_expired', format('plan %s expired at %s', p.id, p.expires_at));
    END IF;
    IF EXISTS (SELECT FROM plan_approval a WHERE a.plan_id = NEW.plan_id AND a.person = NEW.person) THEN
        PERFORM refuse('plan_approval_once', format('%s, or another account of that person, has approved plan %s', NEW.who, p.id));
    END IF;
    NEW.ordinal := 1 + (SELECT count(*) FROM plan_approval a WHERE a.plan_id = NEW.plan_id);
    IF NEW.ordinal > plan_approvals_bound(p.binds) THEN
        PERFORM refuse('plan_approval_waits', format('plan %s has its %s approvals', p.id, plan_approvals_bound(p.binds)));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER plan_approval_is_given BEFORE INSERT ON plan_approval FOR EACH ROW EXECUTE FUNCTION plan_approval_is_given();
SELECT guard_append_only('plan_approval'::regclass);

-- ------------------------------------------------------------------ a plan has them
-- Approved, and begun, with as many rows as it binds; and with no fewer than contracts ask for at that moment. With the last of them
-- the plan names everybody who has approved it, and so does all that comes of it: waivers, reruns, decisions, verdicts. What its
-- requester started alone has none. The trigger's name comes behind plan_transition, which looks at who gives the last one, and
-- plan_transition_alone, which says what is free.
CREATE FUNCTION plan_has_its_approvals() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    bound integer := plan_approvals_bound(NEW.binds);
    needed integer := plan_approvals_needed(NEW.kind, NEW.stream_id, NEW.win);
    given integer;
    names text;
BEGIN
    IF bound < needed THEN
        PERFORM refuse('plan_approvals_of_contract', format('the contract asks for %s approvals, plan %s binds %s', needed, NEW.id, bound));
    END IF;
    IF NEW.free_records IS NOT NULL THEN
        RETURN NEW;
    END IF;
    SELECT count(*) FILTER (WHERE a.digest = NEW.digest AND a.person <> NEW.requested_person), string_agg(a.who, ', ' ORDER BY a.ordinal)
      INTO given, names FROM plan_approval a WHERE a.plan_id = NEW.id;
    IF NEW.approved_digest = NEW.digest AND (given < bound OR NOT EXISTS (
        SELECT FROM plan_approval a WHERE a.plan_id = NEW.id AND a.ordinal = bound AND a.person = NEW.approved_person
           AND NEW.approved_by = CASE OLD.state WHEN 'SUBMITTED' THEN a.who ELSE names END)) THEN
        PERFORM refuse('plan_has_its_approvals', format('plan %s has %s of %s approvals', NEW.id, given, bound));
    END IF;
    NEW.approved_by := coalesce(names, NEW.approved_by);
    RETURN NEW;
END $$;
CREATE TRIGGER plan_transition_approvals BEFORE UPDATE ON plan FOR EACH ROW
    WHEN (OLD.state = 'SUBMITTED' AND NEW.state = 'APPROVED' OR OLD.state = 'APPROVED' AND NEW.state = 'RUNNING')
    EXECUTE FUNCTION plan_has_its_approvals();

-- ------------------------------------------------------------------ and none is free then
CREATE OR REPLACE FUNCTION plan_free(number bigint, OUT contract_id bigint, OUT most integer, OUT used bigint, OUT records bigint)
LANGUAGE sql STABLE AS $$
    SELECT c.id, CASE WHEN x.one THEN c.free_records ELSE 0 END, free_records_used(p.stream_id, p.requested_person, clock_timestamp()),
           CASE WHEN x.one AND c.free_records > 0 THEN plan_records(p.kind, p.binds) END  -- of none, 0 records are not free either
      FROM plan p
      LEFT JOIN LATERAL (SELECT id, free_records FROM contract WHERE stream_id = p.stream_id ORDER BY version DESC LIMIT 1) c ON true
     CROSS JOIN LATERAL (SELECT greatest(plan_approvals_bound(p.binds), plan_approvals_needed(p.kind, p.stream_id, p.win)) = 1 AS one) x
     WHERE p.id = number
$$;

-- ------------------------------------------------------------------ who may do what
GRANT INSERT (plan_id, who, person, digest, why) ON plan_approval TO passgate_app;
GRANT SELECT ON plan_approval TO passgate_app, passgate_auditor;
