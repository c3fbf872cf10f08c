-- Reruns: whose they are, what their verdicts say of them, and when one has passed.

SELECT guard_append_only('rerun'::regclass);
GRANT SELECT, INSERT ON rerun TO passgate_app;
GRANT SELECT ON rerun TO passgate_auditor;

-- A rerun is some plan's: looked at when its transaction ends, for the window comes first.
CREATE FUNCTION window_rerun_is_a_plans() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM rerun x WHERE x.win = NEW.id) THEN
        PERFORM refuse('window_rerun_is_a_plans', format('window %s is the rerun of no plan', NEW.id));
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER window_rerun_is_a_plans AFTER INSERT ON run_window DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.by_plan) EXECUTE FUNCTION window_rerun_is_a_plans();

-- As before (waivers.sql); a rerun's items are those that its plan sent through admission again.
CREATE OR REPLACE FUNCTION waiver_facts(of_win integer, of_check text) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
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
                  FROM quarantine_item q
                 WHERE q.win = of_win
                    OR q.id IN (SELECT d.item_id FROM window_range g JOIN redrive d ON d.source_id = g.source_id
                                 WHERE g.win = of_win)
                    OR q.id IN (SELECT i.id FROM window_range g JOIN run_window w ON w.id = g.win AND w.reruns IS NOT NULL
                                  JOIN origin o ON o.source_id = g.source_id
                                  JOIN receipt t ON t.source_id = o.source_id AND t.decision = 3
                                  JOIN quarantine_item i ON i.source_id = o.origin_source_id
                                   AND i."offset" = o.start_offset + t."offset"
                                 WHERE g.win = of_win));
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

-- As before (waivers.sql), and whose rerun a rerun is.
CREATE OR REPLACE FUNCTION verdict_of_its_window(new verdict) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    w record;
    before record;
BEGIN
    SELECT x.number, x.rerun, x.state, x.revision, x.judged_revision, x.run_id, r.name AS run, s.name AS stream, c.version, c.digest
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
    IF (new.body -> 'window') - 'cut_at' IS DISTINCT FROM (CASE WHEN w.rerun IS NOT NULL
           THEN jsonb_build_object('reruns', w.number, 'rerun', w.rerun) ELSE '{}' END) || jsonb_build_object(
           'stream', w.stream, 'run', w.run, 'number', w.number, 'state', w.state, 'revision', new.revision,
           'contract', jsonb_build_object('version', w.version, 'digest', encode(w.digest, 'hex'))) THEN
        PERFORM refuse('verdict_says_its_row', format('the body is about %s', new.body -> 'window'));
    END IF;
    IF new.body -> 'rerun' IS DISTINCT FROM (
           SELECT jsonb_build_object('plan', x.plan, 'kind', x.kind, 'requested_by', x.requested_by,
                      'approved_by', x.approved_by, 'reason', x.reason, 'contract', jsonb_build_object(
                          'version', c.version, 'digest', encode(c.digest, 'hex')))
             FROM rerun x JOIN run_window me ON me.id = x.win JOIN run mine ON mine.id = me.run_id
             JOIN run_window first ON first.id = coalesce(me.reruns, mine.supersedes)
             JOIN contract c ON c.id = first.contract_id WHERE x.win = new.win) THEN
        PERFORM refuse('verdict_says_its_row', format('the body is of the rerun %s', new.body -> 'rerun'));
    END IF;
END $$;

-- As before (waivers.sql); a rerun waits until the bus has been read as far as it had come.
CREATE OR REPLACE FUNCTION verdict_pass_earned(new verdict) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    why text;
BEGIN
    IF EXISTS (SELECT FROM window_range r JOIN source s ON s.id = r.source_id
                 JOIN position p ON p.source_id = r.source_id
                  AND p.lane = CASE s.role WHEN 'bus' THEN 'effects' ELSE 'admission' END
                WHERE r.win = new.win AND (r.end_offset IS NULL OR p.next_offset < r.end_offset))
       OR EXISTS (SELECT FROM rerun_end e JOIN position p ON p.lane = 'effects' AND p.source_id = e.source_id
                   WHERE e.win = new.win AND p.next_offset < e.end_offset)
       OR EXISTS (SELECT FROM run_window w WHERE w.id = new.win AND w.by_plan AND w.bus_end_at IS NULL) THEN
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

-- ------------------------------------------------------------------ a fresh run takes a window's place
-- By which fresh run's PASS a window, or a rerun of it, may not be read any more; null: by none.
CREATE FUNCTION superseded_by(of_win integer) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT s.name || '/' || f.name
      FROM run_window w JOIN run f ON f.supersedes IN (w.id, w.reruns) JOIN stream s ON s.id = f.stream_id
      JOIN run_window x ON x.run_id = f.id AND x.reruns IS NULL
      JOIN LATERAL (SELECT v.state FROM verdict v WHERE v.win = x.id ORDER BY v.number DESC LIMIT 1) v ON v.state = 'PASS'
     WHERE w.id = of_win LIMIT 1
$$;

-- I10: as before (waivers.sql), and never of a window whose place another one has taken.
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
    IF superseded_by(NEW.win) IS NOT NULL THEN
        PERFORM refuse('gate_superseded', format('window %s is superseded by %s', NEW.win, superseded_by(NEW.win)));
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
