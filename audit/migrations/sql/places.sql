-- A fresh run takes a window's place as a whole, and no second one beside it.

-- Which fresh run takes a window's place, or may still come to: not one that failed, nor one that stands on what fell and so
-- never passes. Null: none.
CREATE FUNCTION place_taken_by(of_win integer) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT s.name || '/' || f.name
      FROM run f JOIN stream s ON s.id = f.stream_id JOIN run_window x ON x.run_id = f.id AND x.reruns IS NULL
     WHERE f.supersedes = of_win
       AND NOT EXISTS (SELECT FROM verdict v WHERE v.win = x.id AND v.state = 'FAIL')
       AND NOT EXISTS (SELECT FROM context_standing(x.id) c WHERE c.fallen)
     ORDER BY f.id LIMIT 1
$$;

-- Events of a window and its reruns that lie in none of its ranges of the inbox: reading these again does not bring them.
CREATE FUNCTION place_leaves_out(of_win integer, OUT by_http bigint, OUT redriven bigint) LANGUAGE sql STABLE AS $$
    SELECT (SELECT coalesce(sum(b.admitted), 0)::bigint
              FROM batch b JOIN source s ON s.id = b.source_id AND s.kind = 'door' WHERE b.win = of_win),
           (SELECT count(*)
              FROM run_window x JOIN window_range g ON g.win = x.id JOIN redrive d ON d.source_id = g.source_id AND d.decision = 1
              JOIN quarantine_item q ON q.id = d.item_id
             WHERE x.reruns = of_win
               AND NOT EXISTS (SELECT FROM window_range w JOIN source s ON s.id = w.source_id AND s.kind = 'topic'
                                WHERE w.win = of_win AND w.source_id = q.source_id
                                  AND q."offset" >= w.start_offset AND q."offset" < w.end_offset))
$$;

-- Whoever opens either a rerun or a fresh run of a window holds the window's row (`lock_first` of audit/rerun.sql).
CREATE FUNCTION run_place_is_free() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM run_window x WHERE x.reruns = NEW.supersedes AND x.state = 'OPEN')
       OR EXISTS (SELECT FROM place_leaves_out(NEW.supersedes) o WHERE o.by_http + o.redriven > 0) THEN
        PERFORM refuse('run_place_is_free', format('run %s would be without events of window %s', NEW.name, NEW.supersedes));
    END IF;
    IF place_taken_by(NEW.supersedes) IS NOT NULL THEN
        PERFORM refuse('run_place_is_free', format('%s takes the place of window %s', place_taken_by(NEW.supersedes), NEW.supersedes));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER run_takes_a_place_whole BEFORE INSERT ON run FOR EACH ROW WHEN (NEW.supersedes IS NOT NULL)
    EXECUTE FUNCTION run_place_is_free();

-- What came into a window whose place is taken would be read nowhere.
CREATE FUNCTION window_place_taken() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF place_taken_by(NEW.reruns) IS NOT NULL THEN
        PERFORM refuse('window_place_taken', format('%s takes the place of window %s', place_taken_by(NEW.reruns), NEW.reruns));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER window_place_taken BEFORE INSERT ON run_window FOR EACH ROW WHEN (NEW.reruns IS NOT NULL)
    EXECUTE FUNCTION window_place_taken();

-- As before (reruns.sql); a run that takes a window's place stands for the whole of it.
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
    ELSIF EXISTS (SELECT FROM run_window me JOIN run r ON r.id = me.run_id AND me.reruns IS NULL
                    JOIN run later ON later.supersedes = r.supersedes AND later.id > r.id WHERE me.id = new.win) THEN
        why := 'another run has taken the place since';
    ELSIF EXISTS (SELECT FROM run_window me JOIN run r ON r.id = me.run_id AND me.reruns IS NULL
                    JOIN window_range g ON g.win = r.supersedes AND g.end_offset > g.start_offset
                    JOIN source s ON s.id = g.source_id AND s.role = 'inbox' AND s.kind = 'topic'
                   WHERE me.id = new.win
                     AND NOT EXISTS (SELECT FROM window_range m JOIN origin o ON o.source_id = m.source_id
                                      WHERE m.win = new.win AND o.origin_source_id = g.source_id
                                        AND (o.start_offset, o.end_offset) = (g.start_offset, g.end_offset)
                                        AND m.end_offset = o.end_offset - o.start_offset)) THEN
        why := 'a part of the window whose place it takes was not read again';
    ELSE
        SELECT c.why INTO why FROM context_standing(new.win) c WHERE c.fallen LIMIT 1;
    END IF;
    IF why IS NOT NULL THEN
        PERFORM refuse('verdict_pass_earned', why);
    END IF;
END $$;

-- As before (reruns.sql); a rerun's items are mismatches, too, that came before where its plan did not read.
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
                                 WHERE g.win = of_win)
                    OR q.id IN (SELECT i.id FROM window_range g JOIN run_window w ON w.id = g.win AND w.reruns IS NOT NULL
                                  JOIN receipt t ON t.source_id = g.source_id AND t.decision = 3 AND t.reason = 50
                                  JOIN quarantine_item i ON i.run_id = w.run_id AND i.reason = 50 AND i.identity = t.identity
                                   AND i.payload_digest = t.payload_digest
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

-- As before (words.sql); a window whose place a fresh run has taken gives nothing any more, whether its gate was ever opened or not.
CREATE OR REPLACE FUNCTION context_standing(of_win integer)
RETURNS TABLE (context text, pinned_win integer, verdict text, why text, fallen boolean, checked_at timestamptz,
               open_until timestamptz) LANGUAGE sql STABLE AS $$
    SELECT p.context, p.pinned_win, p.verdict,
           CASE WHEN newest.name IS NULL THEN format('%s has no verdict', p.verdict)
                WHEN newest.state <> 'PASS' THEN format('%s is %s', newest.name, newest.state)
                WHEN newest.name <> p.verdict THEN format('%s is not the newest of its window, %s is', p.verdict, newest.name)
                WHEN superseded_by(p.pinned_win) IS NOT NULL THEN
                     format('%s is superseded by %s', p.verdict, superseded_by(p.pinned_win))
                WHEN g.win IS NULL THEN format('the gate of %s was never opened', p.verdict)
                WHEN g.shut_why IS NOT NULL THEN format('the gate of %s is shut: %s', p.verdict, g.shut_why)
                WHEN NOT lease_holds(g.checked_at, g.open_until) THEN
                     format('the gate of %s was not re-checked since %s', p.verdict,
                            to_char(g.open_until AT TIME ZONE 'UTC', 'HH24:MI'))
           END,
           coalesce(newest.state <> 'PASS' OR newest.name <> p.verdict OR g.shut_why IS NOT NULL
                    OR superseded_by(p.pinned_win) IS NOT NULL, true),
           g.checked_at, g.open_until
      FROM window_pin p
      LEFT JOIN LATERAL (
           SELECT v.state, s.name || '/' || r.name || '#' || v.number AS name
             FROM verdict v JOIN run r ON r.id = v.run_id JOIN stream s ON s.id = r.stream_id
            WHERE v.win = p.pinned_win ORDER BY v.number DESC LIMIT 1) newest ON true
      LEFT JOIN gate_open g ON g.win = p.pinned_win
     WHERE p.win = of_win
$$;
