-- Plans: which state follows which, who may approve what, and that what was asked for stays what it was. Whoever asks, a verb
-- or a person with the application's login, is refused here by name.

-- ------------------------------------------------------------------ which state follows which
INSERT INTO plan_transition_allowed (from_state, to_state) VALUES
    ('SUBMITTED', 'APPROVED'), ('SUBMITTED', 'DECLINED'), ('SUBMITTED', 'EXPIRED'),
    ('APPROVED', 'RUNNING'), ('APPROVED', 'VOID'), ('APPROVED', 'EXPIRED'),
    ('RUNNING', 'DONE'), ('RUNNING', 'HELD'),
    ('HELD', 'RUNNING'), ('HELD', 'CANCELLED'), ('HELD', 'EXPIRED');
SELECT guard_append_only('plan_transition_allowed'::regclass);

-- ------------------------------------------------------------------ a plan begins
-- As it was asked for, by nobody approved; what its columns say is what it binds, and the digest is over that.
CREATE FUNCTION plan_begins() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    about record;
BEGIN
    IF NEW.state <> 'SUBMITTED' OR NEW.acted_by <> NEW.requested_by
       OR num_nonnulls(NEW.approved_by, NEW.decided_reason, NEW.held_why, NEW.void_why, NEW.started_at, NEW.ended_at) > 0 THEN
        PERFORM refuse('plan_starts_submitted', 'a plan starts as SUBMITTED, and nothing has become of it yet');
    END IF;
    IF NEW.digest IS DISTINCT FROM sha256(convert_to(canonical_json(NEW.binds), 'UTF8')) THEN
        PERFORM refuse('plan_digest', 'the digest is not that of what the plan binds');
    END IF;
    SELECT s.name AS stream, r.name AS run, w.number AS window, r.stream_id, w.run_id INTO about
      FROM stream s LEFT JOIN run r ON r.id = NEW.run_id LEFT JOIN run_window w ON w.id = NEW.win WHERE s.id = NEW.stream_id;
    IF about.stream_id <> NEW.stream_id OR about.run_id <> NEW.run_id OR NEW.win IS NOT NULL AND NEW.run_id IS NULL
       OR (NEW.binds ->> 'schema', NEW.binds ->> 'kind', NEW.binds ->> 'stream', NEW.binds ->> 'run',
           (NEW.binds ->> 'window')::integer, (NEW.binds -> 'limits' ->> 'first')::integer,
           (NEW.binds -> 'limits' ->> 'rate')::integer, NEW.binds -> 'limits' ->> 'stop_when')
          IS DISTINCT FROM ('passgate.plan/1', NEW.kind, about.stream, about.run, about.window, NEW.first_n, NEW.rate,
                            NEW.stop_when) THEN
        PERFORM refuse('plan_says_its_row', 'what the plan binds is about something else than its row');
    END IF;
    NEW.requested_at := clock_timestamp();
    IF NEW.expires_at <= NEW.requested_at THEN
        PERFORM refuse('plan_expired', 'the plan would be over before it began');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER plan_begins BEFORE INSERT ON plan FOR EACH ROW EXECUTE FUNCTION plan_begins();

-- Its items and origins are made of what it binds, and so lie under its digest; its history begins.
CREATE FUNCTION plan_has_begun() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO plan_event (plan_id, from_state, to_state, who, why)
    VALUES (NEW.id, NULL, NEW.state, NEW.acted_by, NEW.reason);
    INSERT INTO plan_item (plan_id, ordinal, subject)
    SELECT NEW.id, n - 1, subject FROM jsonb_array_elements_text(NEW.binds -> 'items') WITH ORDINALITY x(subject, n);
    INSERT INTO plan_origin (plan_id, source_id, from_offset, to_offset)
    SELECT NEW.id, (x ->> 'source')::integer, (x ->> 'from')::bigint, (x ->> 'to')::bigint
      FROM jsonb_array_elements(NEW.binds -> 'origin') x;
    RETURN NULL;
END $$;
CREATE TRIGGER plan_has_begun AFTER INSERT ON plan FOR EACH ROW EXECUTE FUNCTION plan_has_begun();

-- ------------------------------------------------------------------ a plan goes on
CREATE FUNCTION plan_transition() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    step text := format('%s -> %s', OLD.state, NEW.state);
BEGIN
    IF (NEW.id, NEW.kind, NEW.stream_id, NEW.run_id, NEW.win, NEW.binds, NEW.digest, NEW.reason, NEW.requested_by,
        NEW.requested_person, NEW.requested_at, NEW.first_n, NEW.rate, NEW.stop_when)
       IS DISTINCT FROM (OLD.id, OLD.kind, OLD.stream_id, OLD.run_id, OLD.win, OLD.binds, OLD.digest, OLD.reason,
        OLD.requested_by, OLD.requested_person, OLD.requested_at, OLD.first_n, OLD.rate, OLD.stop_when) THEN
        PERFORM refuse('plan_fixed', 'a plan keeps what was asked for');
    END IF;
    IF OLD.state IN ('DONE', 'DECLINED', 'VOID', 'EXPIRED', 'CANCELLED') THEN
        PERFORM refuse('plan_is_over', format('plan %s is %s: nothing becomes of it any more', OLD.id, OLD.state));
    END IF;
    IF NOT EXISTS (SELECT FROM plan_transition_allowed t WHERE t.from_state = OLD.state AND t.to_state = NEW.state) THEN
        PERFORM refuse('plan_transition', format('plan %s is %s, which does not become %s', OLD.id, OLD.state, NEW.state));
    END IF;
    IF step = 'SUBMITTED -> APPROVED' THEN
        NEW.approved_at := clock_timestamp();
        IF NEW.approved_by IS DISTINCT FROM NEW.acted_by OR num_nulls(NEW.approved_person, NEW.approved_digest) > 0 THEN
            PERFORM refuse('plan_runs_approved', 'an approval names who approves, and what');
        END IF;
    ELSIF (NEW.approved_by, NEW.approved_person, NEW.approved_digest, NEW.approved_at)
          IS DISTINCT FROM (OLD.approved_by, OLD.approved_person, OLD.approved_digest, OLD.approved_at) THEN
        PERFORM refuse('plan_approval_fixed', 'an approval stands as it was given');
    END IF;
    IF NEW.state IN ('APPROVED', 'RUNNING') AND OLD.expires_at <= clock_timestamp() THEN
        PERFORM refuse('plan_expired', format('plan %s expired at %s', OLD.id, OLD.expires_at));
    END IF;
    IF NEW.state = 'EXPIRED' AND OLD.expires_at > clock_timestamp() THEN
        PERFORM refuse('plan_expires_in_time', format('plan %s expires at %s', OLD.id, OLD.expires_at));
    END IF;
    IF NEW.state IN ('DECLINED', 'VOID', 'HELD', 'CANCELLED') AND NEW.acted_why !~ '\S' THEN
        PERFORM refuse('plan_says_why', format('%s: no reason is given', step));
    END IF;
    IF NEW.state = 'DONE' AND EXISTS (SELECT FROM plan_item i WHERE i.plan_id = OLD.id AND i.outcome IS NULL) THEN
        PERFORM refuse('plan_done_is_whole', format('plan %s has items without an outcome', OLD.id));
    END IF;
    -- what is said of a state is said by whoever brings it about; a plan that is held has as long as it had at first
    NEW.decided_reason := CASE WHEN NEW.state IN ('APPROVED', 'DECLINED') THEN NEW.acted_why ELSE OLD.decided_reason END;
    NEW.held_why := CASE WHEN NEW.state = 'HELD' THEN NEW.acted_why WHEN NEW.state = 'RUNNING' THEN NULL ELSE OLD.held_why END;
    NEW.void_why := CASE WHEN NEW.state = 'VOID' THEN NEW.acted_why END;
    NEW.expires_at := CASE WHEN NEW.state = 'HELD'
        THEN greatest(OLD.expires_at, clock_timestamp() + least(OLD.expires_at - OLD.requested_at, interval '30 days'))
        ELSE OLD.expires_at END;
    NEW.started_at := CASE WHEN NEW.state = 'RUNNING' THEN coalesce(OLD.started_at, clock_timestamp()) ELSE OLD.started_at END;
    NEW.ended_at := CASE WHEN NEW.state IN ('DONE', 'DECLINED', 'VOID', 'EXPIRED', 'CANCELLED') THEN clock_timestamp() END;
    RETURN NEW;
END $$;
CREATE TRIGGER plan_transition BEFORE UPDATE ON plan FOR EACH ROW EXECUTE FUNCTION plan_transition();

-- The history is written here and nowhere else. What a plan that is over has not done is NOT_RUN, and says why.
CREATE FUNCTION plan_has_gone_on() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO plan_event (plan_id, from_state, to_state, who, why)
    VALUES (NEW.id, OLD.state, NEW.state, NEW.acted_by, NEW.acted_why);
    UPDATE plan_origin SET running = (NEW.state = 'RUNNING') WHERE plan_id = NEW.id;
    IF NEW.state IN ('DECLINED', 'VOID', 'EXPIRED', 'CANCELLED') THEN
        UPDATE plan_item SET outcome = 'NOT_RUN', reason = format('the plan is %s', NEW.state), at = clock_timestamp()
         WHERE plan_id = NEW.id AND outcome IS NULL;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER plan_has_gone_on AFTER UPDATE ON plan FOR EACH ROW EXECUTE FUNCTION plan_has_gone_on();

SELECT guard_no_delete('plan'::regclass);
SELECT guard_append_only('plan_event'::regclass);

-- ------------------------------------------------------------------ items
CREATE FUNCTION plan_item_transition() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    of_state text := (SELECT p.state FROM plan p WHERE p.id = OLD.plan_id);
BEGIN
    IF (NEW.plan_id, NEW.ordinal, NEW.subject) IS DISTINCT FROM (OLD.plan_id, OLD.ordinal, OLD.subject)
       OR OLD.outcome IS NOT NULL OR NEW.outcome IS NULL THEN
        PERFORM refuse('plan_item_outcome_once', format('item %s of plan %s has its outcome once', OLD.ordinal, OLD.plan_id));
    END IF;
    IF of_state <> 'RUNNING' AND NOT (of_state IN ('DECLINED', 'VOID', 'EXPIRED', 'CANCELLED') AND NEW.outcome = 'NOT_RUN') THEN
        PERFORM refuse('plan_item_of_running_plan', format('plan %s is %s: nothing is done for it', OLD.plan_id, of_state));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER plan_item_transition BEFORE UPDATE ON plan_item FOR EACH ROW EXECUTE FUNCTION plan_item_transition();
SELECT guard_no_delete('plan_item'::regclass);

-- ------------------------------------------------------------------ origins
-- Of two plans over the same offsets one runs. A source is written as a range of one number, for which PostgreSQL needs no
-- extension.
ALTER TABLE plan_origin ADD CONSTRAINT plan_one_running_origin EXCLUDE USING gist (
    int8range(source_id, source_id, '[]') WITH &&, int8range(from_offset, to_offset) WITH &&) WHERE (running);
SELECT guard_no_delete('plan_origin'::regclass);

-- ------------------------------------------------------------------ what a plan gives
-- A waiver is what a running plan binds, in every word, of the facts as they are: nobody else waives anything.
ALTER TABLE waiver ADD CONSTRAINT waiver_plan_fk FOREIGN KEY (plan) REFERENCES plan (id);
CREATE FUNCTION waiver_of_its_plan() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    p plan;
BEGIN
    SELECT * INTO p FROM plan WHERE id = NEW.plan;
    IF p.id IS NULL OR (p.kind, p.state, p.win, p.binds -> 'asked' ->> 'check', p.binds -> 'facts',
        (p.binds -> 'asked' ->> 'until')::timestamptz, p.requested_by, p.approved_by, p.reason)
       IS DISTINCT FROM ('waive', 'RUNNING', NEW.win, NEW.check_name, NEW.facts, NEW.until, NEW.requested_by,
        NEW.approved_by, NEW.reason) THEN
        PERFORM refuse('waiver_of_its_plan', format('plan %s does not waive this', NEW.plan));
    END IF;
    IF NEW.facts IS DISTINCT FROM waiver_facts(NEW.win, NEW.check_name) THEN
        PERFORM refuse('waiver_of_its_plan', format('what plan %s waives has changed', NEW.plan));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER waiver_of_its_plan BEFORE INSERT ON waiver FOR EACH ROW EXECUTE FUNCTION waiver_of_its_plan();

-- ------------------------------------------------------------------ who may do what
GRANT SELECT, INSERT ON plan TO passgate_app;
GRANT UPDATE (state, acted_by, acted_why, approved_by, approved_person, approved_digest) ON plan TO passgate_app;
GRANT UPDATE (outcome, reason, at) ON plan_item TO passgate_app;
GRANT SELECT ON plan_item, plan_event, plan_origin, plan_transition_allowed TO passgate_app;
GRANT SELECT ON plan, plan_item, plan_event, plan_origin, plan_transition_allowed TO passgate_auditor;
GRANT USAGE ON SEQUENCE plan_id_seq TO passgate_app;
