-- A waiver: what it is of, what it lets stand, and what ends it.

SELECT guard_append_only('waiver'::regclass);
GRANT SELECT, INSERT ON waiver TO passgate_app;
GRANT USAGE ON SEQUENCE waiver_id_seq TO passgate_app;
GRANT SELECT ON waiver TO passgate_auditor;

-- ------------------------------------------------------------------ the facts
-- What a waiver of a check is of: the counts that a person reads, and a digest over each thing that was counted. The one
-- rule, for whoever asks for a waiver, judges by it, looks after a gate, or stores a verdict. Null: nobody waives this check.
CREATE FUNCTION waiver_facts(of_win integer, of_check text) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
    of_run integer := (SELECT run_id FROM run_window WHERE id = of_win);
BEGIN
    CASE of_check
    WHEN 'QUARANTINE' THEN
        RETURN (SELECT jsonb_build_object(
                    'open', count(*) FILTER (WHERE q.state = 'OPEN'),
                    'discarded', count(*) FILTER (WHERE q.resolution = 'DISCARDED'),
                    'accepted_first', count(*) FILTER (WHERE q.resolution = 'ACCEPTED_FIRST'),
                    'items', encode(sha256(convert_to(coalesce(string_agg(concat_ws(' ', q.id, q.state, q.resolution), E'\n'
                                                                          ORDER BY q.id), ''), 'UTF8')), 'hex'))
                  FROM quarantine_item q WHERE q.win = of_win);
    WHEN 'DEGRADED' THEN
        RETURN (SELECT jsonb_build_object(
                    'matched', count(*) FILTER (WHERE x.context_state = 1),
                    'missing', count(*) FILTER (WHERE x.context_state = 2),
                    'ambiguous', count(*) FILTER (WHERE x.context_state = 3),
                    'effects', encode(sha256(convert_to(coalesce(string_agg(
                        concat_ws(' ', encode(x.identity, 'hex'), x.context_state), E'\n' ORDER BY x.identity)
                        FILTER (WHERE x.context_state IN (2, 3)), ''), 'UTF8')), 'hex'))
                  FROM effect x WHERE x.run_id = of_run AND x.win = of_win);
    WHEN 'EXPECTED' THEN
        RETURN jsonb_build_object('classes', (
                SELECT coalesce(jsonb_agg(jsonb_build_object('class', coalesce(d.event_class, n.name),
                                                             'declared', coalesce(d.declared, 0), 'seen', coalesce(n.seen, 0))
                                          ORDER BY coalesce(d.event_class, n.name)), '[]')
                  FROM (SELECT DISTINCT ON (t.event_class) t.event_class, t.declared
                          FROM control_total t WHERE t.win = of_win ORDER BY t.event_class, t.id DESC) d
                  FULL JOIN admitted_by_class(of_win) n ON n.name = d.event_class));
    WHEN 'NOT_EMPTY' THEN
        RETURN (SELECT jsonb_build_object(
                    'admitted', coalesce(sum(b.admitted), 0), 'duplicates', coalesce(sum(b.duplicates), 0),
                    'quarantined', coalesce(sum(b.quarantined), 0),
                    'classes', (SELECT coalesce(jsonb_agg(jsonb_build_object('class', n.name, 'seen', n.seen) ORDER BY n.name),
                                                '[]') FROM admitted_by_class(of_win) n))
                  FROM batch b WHERE b.win = of_win);
    ELSE
        RETURN NULL;
    END CASE;
END $$;

-- How many events of each class a window admitted.
CREATE FUNCTION admitted_by_class(of_win integer) RETURNS TABLE (name text, seen bigint) LANGUAGE sql STABLE AS $$
    SELECT c.name, count(*)
      FROM batch b JOIN event e ON e.run_id = b.run_id AND e.batch_id = b.id JOIN event_class c ON c.id = e.class_id
     WHERE b.win = of_win GROUP BY c.name
$$;

CREATE FUNCTION waiver_digest(facts jsonb) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS
$$ SELECT encode(sha256(convert_to(canonical_json(facts), 'UTF8')), 'hex') $$;

-- ------------------------------------------------------------------ what a verdict leans on
-- The waivers that a verdict names, and why each gives nothing any more (null: it stands). Facts are looked at where the
-- window's revision says that one may have changed since the verdict was stored: counting them takes time.
CREATE FUNCTION waivers_of(of_verdict bigint)
RETURNS TABLE (check_name text, plan bigint, until timestamptz, lapsed text) LANGUAGE sql STABLE AS $$
    SELECT x ->> 'check', w.plan, w.until,
           CASE WHEN w.id IS NULL THEN format('plan %s waived nothing of it', x ->> 'plan')
                WHEN w.until <= clock_timestamp() THEN format('the waiver of %s by plan %s is over', w.check_name, w.plan)
                WHEN r.revision <> v.revision + 1 AND w.facts IS DISTINCT FROM waiver_facts(v.win, w.check_name) THEN
                     format('what plan %s waived of %s has changed', w.plan, w.check_name) END
      FROM verdict v JOIN run_window r ON r.id = v.win
     CROSS JOIN LATERAL jsonb_array_elements(v.body -> 'waivers') x
      LEFT JOIN waiver w ON w.plan::text = x ->> 'plan' AND w.win = v.win AND w.check_name = x ->> 'check'
     WHERE v.id = of_verdict
$$;

-- Until when a window may be read at most because of what its newest verdict leans on.
CREATE FUNCTION waiver_bound(of_win integer) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT coalesce(min(CASE WHEN x.lapsed IS NULL THEN x.until ELSE '-infinity' END), 'infinity')
      FROM (SELECT v.id FROM verdict v WHERE v.win = of_win ORDER BY v.number DESC LIMIT 1) newest
     CROSS JOIN LATERAL waivers_of(newest.id) x
$$;

-- ------------------------------------------------------------------ the gate
-- I10: as before (gate_lease.sql), and never longer than a waiver lasts that the verdict leans on.
CREATE OR REPLACE FUNCTION gate_transition() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE newest verdict;
BEGIN
    IF NEW.checked_at > clock_timestamp() THEN
        PERFORM refuse('gate_counts_from_measurement', format('%s is a time to come', NEW.checked_at));
    END IF;
    IF TG_OP = 'UPDATE' THEN
        IF NEW.win <> OLD.win THEN
            PERFORM refuse('gate_follows_pass', 'a lease keeps its window');
        END IF;
        IF OLD.shut_why IS NOT NULL AND NEW.verdict_id = OLD.verdict_id AND NEW.shut_why IS DISTINCT FROM OLD.shut_why
           AND NOT (NEW.shut_why IS NULL AND OLD.shut_why LIKE 'a newer verdict of window %') THEN
            PERFORM refuse('gate_stays_shut', format('window %s was shut: %s', OLD.win, OLD.shut_why));
        END IF;
        IF NEW.open_until <= clock_timestamp() THEN
            RETURN NEW;
        END IF;
    END IF;
    SELECT * INTO newest FROM verdict WHERE win = NEW.win ORDER BY number DESC LIMIT 1;
    IF newest.id IS DISTINCT FROM NEW.verdict_id OR newest.state IS DISTINCT FROM 'PASS' THEN
        PERFORM refuse('gate_follows_pass', format('window %s has no standing PASS %s', NEW.win, NEW.verdict_id));
    END IF;
    IF EXISTS (SELECT FROM contradiction c WHERE c.win = NEW.win) THEN
        PERFORM refuse('gate_follows_pass', format('window %s has a contradiction', NEW.win));
    END IF;
    IF NEW.open_until > clock_timestamp() AND (TG_OP = 'INSERT' OR NEW.open_until > OLD.open_until) THEN
        IF NEW.open_until > context_bound(NEW.win) THEN
            PERFORM refuse('gate_follows_context', format('window %s would be open longer than its context', NEW.win));
        END IF;
        IF newest.waived AND NEW.open_until > waiver_bound(NEW.win) THEN
            PERFORM refuse('gate_follows_waiver', format('window %s would be open longer than it is waived', NEW.win));
        END IF;
    END IF;
    RETURN NEW;
END $$;

-- An item that was waived became another: the gate is over in that very transaction, and the verdict stays. A window without
-- a waiver costs one look at an index, and takes no lock.
CREATE FUNCTION waived_item_changes() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE wins integer[];
BEGIN
    SELECT array_agg(DISTINCT a.win) INTO wins
      FROM after_ a JOIN before_ b ON b.id = a.id AND (b.state, b.resolution) IS DISTINCT FROM (a.state, a.resolution)
      JOIN waiver w ON w.win = a.win AND w.check_name = 'QUARANTINE';
    IF wins IS NULL THEN
        RETURN NULL;
    END IF;
    PERFORM touch_windows(wins);
    UPDATE gate_open g SET open_until = least(g.open_until, now_.at), checked_at = now_.at, shut_why = x.why
      FROM verdict v
     CROSS JOIN LATERAL (SELECT string_agg(l.lapsed, '; ' ORDER BY l.lapsed) AS why FROM waivers_of(v.id) l) x,
           (SELECT clock_timestamp() AS at OFFSET 0) now_
     WHERE g.win = ANY(wins) AND g.shut_why IS NULL AND v.id = g.verdict_id AND v.waived AND x.why IS NOT NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER waived_item_changes AFTER UPDATE ON quarantine_item
    REFERENCING OLD TABLE AS before_ NEW TABLE AS after_ FOR EACH STATEMENT EXECUTE FUNCTION waived_item_changes();

-- ------------------------------------------------------------------ verdicts
-- As before (verdicts.sql), but for a PASS that leaned on a waiver: a PASS that leans on another one, or on none, may follow.
CREATE OR REPLACE FUNCTION verdict_of_its_window(new verdict) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    w record;
    before record;
BEGIN
    SELECT x.number, x.state, x.revision, x.judged_revision, x.run_id, r.name AS run, s.name AS stream, c.version, c.digest
      INTO w
      FROM run_window x JOIN run r ON r.id = x.run_id JOIN stream s ON s.id = r.stream_id JOIN contract c ON c.id = x.contract_id
     WHERE x.id = new.win FOR UPDATE OF x;
    IF w.run_id IS DISTINCT FROM new.run_id OR w.state IS DISTINCT FROM 'CUT' OR w.digest IS DISTINCT FROM new.contract_digest THEN
        PERFORM refuse('verdict_of_its_window', format('window %s is %s of run %s', new.win, w.state, w.run_id));
    END IF;
    -- storing is the compare-and-set: it has raised the revision by one, and let nothing come in between
    IF w.revision <> new.revision + 1 OR w.judged_revision IS DISTINCT FROM w.revision THEN
        PERFORM refuse('verdict_at_its_revision',
                       format('window %s stands at revision %s, judged was %s', new.win, w.revision, new.revision));
    END IF;
    IF new.number <> (SELECT coalesce(max(v.number), 0) + 1 FROM verdict v WHERE v.run_id = new.run_id) THEN
        PERFORM refuse('verdict_number_follows', format('number %s does not follow', new.number));
    END IF;
    SELECT v.number, v.state, v.revision, v.waived, v.body -> 'waivers' AS waivers INTO before
      FROM verdict v WHERE v.win = new.win ORDER BY v.number DESC LIMIT 1;
    IF before.revision >= new.revision THEN
        PERFORM refuse('verdict_at_its_revision', format('revision %s has its verdict: #%s', before.revision, before.number));
    END IF;
    IF before.state = 'FAIL' OR before.state = 'PASS' AND new.state <> 'FAIL' AND NOT (
           before.waived AND new.state = 'PASS' AND new.body -> 'waivers' IS DISTINCT FROM before.waivers) THEN
        PERFORM refuse('verdict_stands', format('#%s is %s: %s is not stored after it', before.number, before.state, new.state));
    END IF;
    IF (new.body -> 'window') - 'cut_at' - 'reruns' IS DISTINCT FROM jsonb_build_object(
           'stream', w.stream, 'run', w.run, 'number', w.number, 'state', w.state, 'revision', new.revision,
           'contract', jsonb_build_object('version', w.version, 'digest', encode(w.digest, 'hex'))) THEN
        PERFORM refuse('verdict_says_its_row', format('the body is about %s', new.body -> 'window'));
    END IF;
END $$;

-- Each waived check names a waiver that is there, of this window and this check, of the facts as they are, and not over.
CREATE FUNCTION verdict_waivers(new verdict) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    named jsonb;
    odd text;
BEGIN
    SELECT coalesce(jsonb_agg(x.said -> 'waiver' ORDER BY x.n), '[]') INTO named
      FROM jsonb_array_elements(new.body -> 'checks') WITH ORDINALITY x(said, n) WHERE x.said ->> 'state' = 'WAIVED';
    IF new.body -> 'waivers' IS DISTINCT FROM named OR new.waived <> (new.state = 'PASS' AND named <> '[]') THEN
        PERFORM refuse('verdict_checks_agree', 'the waivers are not those of its checks');
    END IF;
    SELECT x ->> 'check' INTO odd
      FROM jsonb_array_elements(new.body -> 'checks') x
      LEFT JOIN waiver w ON w.win = new.win AND w.check_name = x ->> 'check' AND w.plan::text = x -> 'waiver' ->> 'plan'
     WHERE x ->> 'state' = 'WAIVED' AND NOT coalesce(
           (x -> 'waiver') = jsonb_build_object('check', w.check_name, 'plan', w.plan, 'requested_by', w.requested_by,
               'approved_by', w.approved_by, 'reason', w.reason, 'until', x -> 'waiver' -> 'until', 'facts', waiver_digest(w.facts))
           AND (x -> 'waiver' ->> 'until')::timestamptz = w.until AND w.until > clock_timestamp()
           AND w.facts = waiver_facts(new.win, w.check_name), false)
     LIMIT 1;
    IF odd IS NOT NULL THEN
        PERFORM refuse('verdict_waived_by_plan', format('no waiver that stands lets %s stand', odd));
    END IF;
END $$;

CREATE OR REPLACE FUNCTION verdict_checks(new verdict) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    always text[] := ARRAY['COVERAGE', 'CAUGHT_UP', 'ACCOUNTED', 'BALANCED', 'PUBLISHED', 'APPLIED', 'COMMITTED',
                           'QUARANTINE', 'BASIS', 'NOT_EMPTY'];
    asked_for text[] := ARRAY['EXPECTED', 'DEGRADED', 'CONTEXT', 'SEALED'];
    listed text[] := ARRAY(SELECT x ->> 'check' FROM jsonb_array_elements(new.body -> 'checks') x);
    absent text[] := ARRAY(SELECT x ->> 'check' FROM jsonb_array_elements(new.body -> 'not_listed') x);
    severest text;
    odd text;
BEGIN
    IF NOT (listed @> always) OR NOT ((listed || absent) @> (always || asked_for))
       OR cardinality(listed || absent) <> cardinality(always || asked_for) THEN
        PERFORM refuse('verdict_checks_listed', format('listed are %s, and not %s', listed, absent));
    END IF;
    IF 'EXPECTED' = ANY(absent) AND EXISTS (SELECT FROM control_total t WHERE t.win = new.win)
       OR absent && ARRAY['DEGRADED', 'CONTEXT'] AND EXISTS (SELECT FROM window_pin p WHERE p.win = new.win) THEN
        PERFORM refuse('verdict_checks_listed', format('the window asks for what is not listed: %s', absent));
    END IF;
    SELECT x ->> 'check' INTO odd
      FROM jsonb_array_elements(new.body -> 'checks') x
     WHERE CASE x ->> 'state'
           WHEN 'HOLDS' THEN x ? 'severity' OR x ? 'waiver' OR x -> 'causes' <> '[]' OR NOT x ? 'source' OR NOT coalesce(
                (x ->> 'measured_at')::timestamptz BETWEEN new.measured_at AND new.decided_at, false)
           WHEN 'WAIVED' THEN x ? 'severity' OR x ? 'follows_from' OR NOT x ? 'waiver' OR x -> 'causes' = '[]'
                OR NOT coalesce((x ->> 'measured_at')::timestamptz BETWEEN new.measured_at AND new.decided_at, false)
                OR jsonb_path_exists(x, '$.causes[*] ? (@.severity != "BLOCKED")')
           WHEN 'BROKEN' THEN x -> 'causes' = '[]' OR coalesce(x ->> 'severity', '') NOT IN ('BLOCKED', 'FAIL')
                OR x ? 'follows_from' AND x ->> 'severity' <> 'BLOCKED'
           WHEN 'UNMEASURED' THEN x -> 'causes' = '[]' OR x ->> 'severity' IS DISTINCT FROM 'BLOCKED'
           ELSE true END
     LIMIT 1;
    IF odd IS NOT NULL THEN
        PERFORM refuse('verdict_checks_agree', format('%s does not say what its state asks for', odd));
    END IF;
    PERFORM verdict_waivers(new);
    SELECT max(x ->> 'severity') INTO severest FROM jsonb_array_elements(new.body -> 'checks') x;  -- FAIL comes after BLOCKED
    IF new.state IS DISTINCT FROM coalesce(severest, 'PASS') THEN
        PERFORM refuse('verdict_checks_agree', format('by its checks it is %s, not %s', coalesce(severest, 'PASS'), new.state));
    END IF;
END $$;

-- As before (verdicts.sql), but for totals that are waived.
CREATE OR REPLACE FUNCTION verdict_pass_earned(new verdict) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    why text;
BEGIN
    IF EXISTS (SELECT FROM window_range r JOIN source s ON s.id = r.source_id
                 JOIN position p ON p.source_id = r.source_id
                  AND p.lane = CASE s.role WHEN 'bus' THEN 'effects' ELSE 'admission' END
                WHERE r.win = new.win AND (r.end_offset IS NULL OR p.next_offset < r.end_offset)) THEN
        why := 'a lane is before its end';
    ELSIF EXISTS (SELECT FROM window_range r JOIN source s ON s.id = r.source_id AND s.role = 'inbox'
                    JOIN gap g ON g.source_id = r.source_id AND g.from_offset < r.end_offset AND g.to_offset > r.start_offset
                   WHERE r.win = new.win AND g.state <> 'PROVEN') THEN
        why := 'a gap is not proven';
    ELSIF EXISTS (SELECT FROM batch b JOIN publish_queue q ON q.batch_id = b.id WHERE b.win = new.win)
       OR EXISTS (SELECT FROM batch b JOIN attempt_batch ab ON ab.batch_id = b.id AND ab.live
                    JOIN attempt a ON a.id = ab.attempt_id AND a.state <> 'ACKED' WHERE b.win = new.win) THEN
        why := 'a publish is not settled';
    ELSIF EXISTS (SELECT FROM contradiction c WHERE c.win = new.win) THEN
        why := 'the bus contradicts it';
    ELSIF (SELECT jsonb_build_object('records', coalesce(sum(b.records), 0), 'admitted', coalesce(sum(b.admitted), 0),
                                     'duplicates', coalesce(sum(b.duplicates), 0),
                                     'quarantined', coalesce(sum(b.quarantined), 0)) FROM batch b WHERE b.win = new.win)
          IS DISTINCT FROM (new.body -> 'counts') - 'admitted_by_class' THEN
        why := 'the batches count otherwise';
    ELSIF NOT jsonb_path_exists(new.body, '$.checks[*] ? (@.check == "EXPECTED" && @.state == "WAIVED")')
      AND EXISTS (SELECT FROM (SELECT DISTINCT ON (t.event_class) t.event_class, t.declared
                                 FROM control_total t WHERE t.win = new.win ORDER BY t.event_class, t.id DESC) d
                   WHERE d.declared <> coalesce(
                         (new.body -> 'counts' -> 'admitted_by_class' ->> d.event_class)::numeric, 0)) THEN
        why := 'the producer declared another total';
    ELSE
        SELECT c.why INTO why FROM context_standing(new.win) c WHERE c.fallen LIMIT 1;
    END IF;
    IF why IS NOT NULL THEN
        PERFORM refuse('verdict_pass_earned', why);
    END IF;
END $$;
