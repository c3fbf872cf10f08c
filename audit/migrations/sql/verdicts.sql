-- What a verdict's row says is what its body says, of the window as it stands; and what rests on a verdict falls with it.

-- ------------------------------------------------------------------ the digest
-- RFC 8785 orders members by UTF-16 code units; PostgreSQL orders texts by bytes of UTF-8, which differs beyond U+D7FF.
CREATE FUNCTION utf16_units(said text) RETURNS integer[] LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT coalesce(array_agg(u.unit ORDER BY c.n, u.n), '{}')
      FROM unnest(string_to_array(said, NULL)) WITH ORDINALITY c(letter, n)
     CROSS JOIN LATERAL unnest(
           CASE WHEN ascii(c.letter) < 65536 THEN ARRAY[ascii(c.letter)]
                ELSE ARRAY[55296 + (ascii(c.letter) - 65536) / 1024, 56320 + (ascii(c.letter) - 65536) % 1024] END)
           WITH ORDINALITY u(unit, n)
$$;

-- RFC 8785 of what a verdict's body is made of: objects, arrays, strings, whole numbers and booleans. A string is written as
-- jsonb writes it, which is as JSON.stringify does; a number with a fraction, or beyond 2^53, is in no body.
CREATE FUNCTION canonical_json(said jsonb) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    CASE jsonb_typeof(said)
    WHEN 'object' THEN
        RETURN '{' || coalesce((SELECT string_agg(to_jsonb(e.key)::text || ':' || canonical_json(e.value), ','
                                                  ORDER BY utf16_units(e.key)) FROM jsonb_each(said) e), '') || '}';
    WHEN 'array' THEN
        RETURN '[' || coalesce((SELECT string_agg(canonical_json(e.value), ',' ORDER BY e.n)
                                  FROM jsonb_array_elements(said) WITH ORDINALITY e(value, n)), '') || ']';
    WHEN 'number' THEN
        IF said::numeric <> trunc(said::numeric) OR abs(said::numeric) >= 9007199254740992 THEN
            PERFORM refuse('verdict_digest', format('%s is no whole number below 2^53', said));
        END IF;
        RETURN trunc(said::numeric)::text;
    ELSE
        RETURN said::text;
    END CASE;
END $$;

-- ------------------------------------------------------------------ a context falls
-- A context fell: what was built on it is shut in the same transaction, by name, and nothing that was measured of it before
-- is stored after. The windows' rows come first: a verdict under way has them, is waited for, and its gate is then seen.
CREATE FUNCTION context_falls(fallen_win integer, what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM run_window WHERE id IN (SELECT win FROM window_pin WHERE pinned_win = fallen_win) ORDER BY id FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    UPDATE run_window SET revision = revision + 1
     WHERE state = 'CUT' AND id IN (SELECT win FROM window_pin WHERE pinned_win = fallen_win);
    UPDATE gate_open SET open_until = least(open_until, clock_timestamp()), checked_at = clock_timestamp(), shut_why = what
     WHERE shut_why IS NULL AND win IN (SELECT win FROM window_pin WHERE pinned_win = fallen_win);
END $$;

CREATE FUNCTION verdict_falls() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM context_falls(NEW.win, (SELECT format('%s/%s#%s is %s', s.name, r.run_id, NEW.number, NEW.state)
                                      FROM run r JOIN stream s ON s.id = r.stream_id WHERE r.id = NEW.run_id));
    RETURN NULL;
END $$;
CREATE TRIGGER verdict_falls AFTER INSERT ON verdict FOR EACH ROW WHEN (NEW.state <> 'PASS')
    EXECUTE FUNCTION verdict_falls();

CREATE FUNCTION gate_falls() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM context_falls(NEW.win, (SELECT format('the gate of %s/%s#%s is shut: %s', s.name, r.run_id, v.number, NEW.shut_why)
                                      FROM verdict v JOIN run r ON r.id = v.run_id JOIN stream s ON s.id = r.stream_id
                                     WHERE v.id = NEW.verdict_id));
    RETURN NULL;
END $$;
CREATE TRIGGER gate_falls AFTER UPDATE ON gate_open FOR EACH ROW
    WHEN (NEW.shut_why IS NOT NULL AND OLD.shut_why IS NULL) EXECUTE FUNCTION gate_falls();

-- ------------------------------------------------------------------ the row and its window
-- Each of these raises by its constraint's name. The window's row is locked: what it says stands until the verdict does.
CREATE FUNCTION verdict_of_its_window(new verdict) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    w record;
    before record;
BEGIN
    SELECT x.number, x.state, x.revision, x.judged_revision, x.run_id, r.run_id AS run, s.name AS stream, c.version, c.digest
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
    SELECT v.number, v.state, v.revision INTO before FROM verdict v WHERE v.win = new.win ORDER BY v.number DESC LIMIT 1;
    IF before.revision >= new.revision THEN
        PERFORM refuse('verdict_at_its_revision', format('revision %s has its verdict: #%s', before.revision, before.number));
    END IF;
    IF before.state = 'FAIL' OR before.state = 'PASS' AND new.state <> 'FAIL' THEN
        PERFORM refuse('verdict_stands', format('#%s is %s: %s is not stored after it', before.number, before.state, new.state));
    END IF;
    IF (new.body -> 'window') - 'cut_at' - 'reruns' IS DISTINCT FROM jsonb_build_object(
           'stream', w.stream, 'run', w.run, 'number', w.number, 'state', w.state, 'revision', new.revision,
           'contract', jsonb_build_object('version', w.version, 'digest', encode(w.digest, 'hex'))) THEN
        PERFORM refuse('verdict_says_its_row', format('the body is about %s', new.body -> 'window'));
    END IF;
END $$;

-- ------------------------------------------------------------------ the row and its body
CREATE FUNCTION verdict_says_its_row(new verdict) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    said jsonb := new.body;
BEGIN
    IF sha256(convert_to(canonical_json(said), 'UTF8')) IS DISTINCT FROM new.digest THEN
        PERFORM refuse('verdict_digest', 'the digest is not that of the body');
    END IF;
    IF (said ->> 'schema', said ->> 'state', said -> 'waived', said -> 'number', (said ->> 'judged_at')::timestamptz,
        (said -> 'facts' ->> 'measured_at')::timestamptz, (said -> 'facts' ->> 'valid_until')::timestamptz,
        coalesce((said -> 'basis' ->> 'generation')::integer, 0))
       IS DISTINCT FROM ('passgate.verdict/1', new.state, to_jsonb(new.waived), to_jsonb(new.number), new.decided_at,
        new.measured_at, new.valid_until, new.basis_generation) THEN
        PERFORM refuse('verdict_says_its_row', 'the body says another state, number, time or basis than its row');
    END IF;
    IF new.basis_generation > 0 AND NOT EXISTS (
           SELECT FROM basis b WHERE b.win = new.win AND b.generation = new.basis_generation
              AND encode(b.digest, 'hex') = said -> 'basis' ->> 'digest') THEN
        PERFORM refuse('verdict_says_its_row', format('the window has no such basis: %s', said -> 'basis'));
    END IF;
END $$;

-- ------------------------------------------------------------------ the checks
-- Every check is listed, or said not to be by one that may stay out; each says by itself what it means for the state.
CREATE FUNCTION verdict_checks(new verdict) RETURNS void LANGUAGE plpgsql AS $$
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
           WHEN 'HOLDS' THEN x ? 'severity' OR x -> 'causes' <> '[]' OR NOT x ? 'source' OR NOT coalesce(
                (x ->> 'measured_at')::timestamptz BETWEEN new.measured_at AND new.decided_at, false)
           WHEN 'WAIVED' THEN true  -- an approved plan waives, and there are no plans yet
           WHEN 'BROKEN' THEN x -> 'causes' = '[]' OR coalesce(x ->> 'severity', '') NOT IN ('BLOCKED', 'FAIL')
                OR x ? 'follows_from' AND x ->> 'severity' <> 'BLOCKED'
           WHEN 'UNMEASURED' THEN x -> 'causes' = '[]' OR x ->> 'severity' IS DISTINCT FROM 'BLOCKED'
           ELSE true END
     LIMIT 1;
    IF odd IS NOT NULL OR new.waived OR new.body -> 'waivers' IS DISTINCT FROM '[]' THEN
        PERFORM refuse('verdict_checks_agree', format('%s does not say what its state asks for', coalesce(odd, 'a waiver')));
    END IF;
    SELECT max(x ->> 'severity') INTO severest FROM jsonb_array_elements(new.body -> 'checks') x;  -- FAIL comes after BLOCKED
    IF new.state IS DISTINCT FROM coalesce(severest, 'PASS') THEN
        PERFORM refuse('verdict_checks_agree', format('by its checks it is %s, not %s', coalesce(severest, 'PASS'), new.state));
    END IF;
END $$;

-- ------------------------------------------------------------------ PASS
-- What the ledger itself can say against a PASS at little cost. The rest of it is for a judge, and for whoever judges again.
CREATE FUNCTION verdict_pass_earned(new verdict) RETURNS void LANGUAGE plpgsql AS $$
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
    ELSIF EXISTS (SELECT FROM (SELECT DISTINCT ON (t.event_class) t.event_class, t.declared
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

CREATE FUNCTION verdict_insertion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM verdict_of_its_window(NEW);
    PERFORM verdict_says_its_row(NEW);
    PERFORM verdict_checks(NEW);
    IF NEW.state = 'PASS' THEN
        PERFORM verdict_pass_earned(NEW);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER verdict_insertion BEFORE INSERT ON verdict FOR EACH ROW EXECUTE FUNCTION verdict_insertion();

-- At COMMIT, for whoever stores may have been stopped anywhere before: what was measured longer ago than its bound allows,
-- or at a time to come, is nothing to store a verdict on.
CREATE FUNCTION verdict_is_fresh() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT coalesce(clock_timestamp() BETWEEN NEW.measured_at AND NEW.valid_until, false) THEN
        PERFORM refuse('verdict_facts_fresh', format('measured at %s, to be stored by %s', NEW.measured_at, NEW.valid_until));
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER verdict_facts_fresh AFTER INSERT ON verdict
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION verdict_is_fresh();

-- ------------------------------------------------------------------ who judges
-- A judge locks its window's row here while it judges: another one finds it locked and goes on to another window.
SELECT guard_no_delete('judging'::regclass);
GRANT SELECT, INSERT, UPDATE ON judging TO passgate_app;
GRANT SELECT ON judging TO passgate_auditor;
