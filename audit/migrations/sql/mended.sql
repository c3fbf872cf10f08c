-- A window whose effects went missing before it was judged is proven once they are written again.

-- Why no effect of a window is written again; null: it may be. Only of one that lanes filled, that has failed, and that nobody has ever
-- read; and while what it was joined with stands, for else the answer would be another one.
CREATE FUNCTION unmendable(of_win integer) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN w.by_plan THEN 'a plan filled it'
        WHEN w.state <> 'CUT' THEN 'it is not cut'
        WHEN EXISTS (SELECT FROM gate_open g WHERE g.win = w.id) THEN 'its gate has been open'
        WHEN EXISTS (SELECT FROM verdict v WHERE v.win = w.id AND v.state = 'PASS') THEN 'it has passed'
        WHEN NOT EXISTS (SELECT FROM verdict v WHERE v.win = w.id AND v.state = 'FAIL') THEN 'it has not failed'
        WHEN place_taken_by(w.id) IS NOT NULL THEN place_taken_by(w.id) || ' takes its place'
        ELSE (SELECT min(c.why) FROM context_standing(w.id) c WHERE c.fallen) END
      FROM run_window w WHERE w.id = of_win
$$;

-- Whether APPLIED of a verdict says FAIL because effects, or rows that readers read, were missing, and for nothing else: a row that
-- nothing explains keeps its window shut for good. By the words that verdicts say it with (audit/core/bus.py).
CREATE FUNCTION failed_by_missing_effects(said jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT said ->> 'check' = 'APPLIED'
       AND coalesce((SELECT bool_and(c ->> 'text' ~ '^[0-9,]+ (event is|events are) not applied$'
                                     OR c ->> 'text' ~ '^[0-9,]+ (effect is|effects are) not in truth\.[a-z0-9_]+$')
                       FROM jsonb_array_elements(said -> 'causes') c WHERE c ->> 'severity' = 'FAIL'), false)
$$;

-- As before (lost.sql); and a window may have failed by effects that were missing. The body says how many were written again.
CREATE OR REPLACE FUNCTION verdict_covers_window(new verdict) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    me record;
    w record;
    failed record;
    why text;
    said jsonb := new.body -> 'covers';
    anew jsonb;
BEGIN
    SELECT x.reruns, x.contract_id, y.kind INTO me FROM run_window x JOIN rerun y ON y.win = x.id WHERE x.id = new.win;
    IF new.covers IS NULL OR said IS NULL OR new.state <> 'PASS' OR new.waived OR me.reruns IS DISTINCT FROM new.covers
       OR me.kind IS DISTINCT FROM 'replay' THEN
        PERFORM refuse('verdict_covers_window', format('#%s is no PASS of a replay of window %s', new.number, new.covers));
    END IF;
    SELECT x.* INTO w FROM run_window x WHERE x.id = new.covers FOR UPDATE;
    IF said -> 'revision' IS DISTINCT FROM to_jsonb(w.revision) THEN
        PERFORM refuse('verdict_covers_revision',
                       format('window %s stands at revision %s, measured was %s', w.number, w.revision, said -> 'revision'));
    END IF;
    anew := bus_anew(new.covers, new.win);
    SELECT v.state, v.body INTO failed FROM verdict v WHERE v.win = w.id ORDER BY v.number DESC LIMIT 1;
    IF failed.state IS DISTINCT FROM 'FAIL' THEN
        why := 'the window has not failed';
    ELSIF failed.body -> 'waivers' <> '[]' OR EXISTS (
          SELECT FROM jsonb_array_elements(failed.body -> 'checks') x
           WHERE x ->> 'severity' = 'FAIL' AND x ->> 'check' NOT IN ('ACCOUNTED', 'COMMITTED')
             AND NOT (anew IS NOT NULL AND failed_by_its_bus(x, anew ->> 'name')) AND NOT failed_by_missing_effects(x)) THEN
        why := 'it failed by what no reading again mends';
    ELSIF me.contract_id <> w.contract_id THEN
        why := 'the rerun is under another contract';
    ELSIF EXISTS (SELECT FROM run_window x JOIN batch b ON b.win = x.id JOIN attempt_batch ab ON ab.batch_id = b.id
                    JOIN attempt a ON a.id = ab.attempt_id AND a.state NOT IN ('LOST', 'ABSENT', 'NOT_SENT')
                   WHERE w.id IN (x.id, x.reruns) AND x.id <> new.win AND anew IS NOT NULL AND a.topic_id <> anew ->> 'topic_id') THEN
        why := 'a publish of it went to a bus that is gone';
    ELSIF place_taken_by(w.id) IS NOT NULL THEN
        why := format('%s takes its place', place_taken_by(w.id));
    ELSIF NOT EXISTS (SELECT FROM window_range g JOIN source s ON s.id = g.source_id AND s.role = 'inbox' WHERE g.win = w.id)
       OR EXISTS (SELECT FROM window_range g JOIN source s ON s.id = g.source_id AND s.role = 'inbox'
                   WHERE g.win = w.id AND g.end_offset IS DISTINCT FROM g.start_offset
                     AND NOT EXISTS (SELECT FROM window_range m JOIN origin o ON o.source_id = m.source_id
                                      WHERE m.win = new.win AND s.kind = 'topic' AND o.origin_source_id = g.source_id
                                        AND (o.start_offset, o.end_offset) = (g.start_offset, g.end_offset)
                                        AND m.end_offset = o.end_offset - o.start_offset)) THEN
        why := 'a part of it was not read again';
    ELSIF EXISTS (SELECT FROM contradiction c JOIN run_window x ON x.id = c.win WHERE w.id IN (x.id, x.reruns)) THEN
        why := 'the bus contradicts it';
    ELSIF EXISTS (SELECT FROM run_window x JOIN batch b ON b.win = x.id AND b.admitted > 0
                   WHERE x.reruns = w.id AND x.id <> new.win
                     AND (SELECT v.state FROM verdict v WHERE v.win = x.id ORDER BY v.number DESC LIMIT 1) IS DISTINCT FROM 'PASS') THEN
        why := 'events came into another rerun of it that has not passed';
    ELSIF EXISTS (SELECT FROM batch b JOIN publish_queue q ON q.batch_id = b.id WHERE b.win = w.id)
       OR EXISTS (SELECT FROM batch b JOIN attempt_batch ab ON ab.batch_id = b.id AND ab.live
                    JOIN attempt a ON a.id = ab.attempt_id AND a.state <> 'ACKED' WHERE b.win = w.id) THEN
        why := 'a publish is not settled';
    ELSIF coalesce(said -> 'mended', '0') IS DISTINCT FROM (SELECT to_jsonb(count(*)) FROM mended_effect m WHERE m.win = w.id)
       OR said - 'mended' IS DISTINCT FROM (
          SELECT jsonb_build_object('window', w.number, 'revision', w.revision, 'events', n.events, 'referred', n.events,
                                    'effects', n.events, 'places', n.events, 'batches', n.batches)
            FROM (SELECT coalesce(sum(b.admitted), 0) AS events, count(*) AS batches FROM batch b WHERE b.win = w.id) n) THEN
        why := format('it counts otherwise than %s', said);
    END IF;
    IF why IS NOT NULL THEN
        PERFORM refuse('verdict_covers_window', format('window %s is not covered: %s', w.number, why));
    END IF;
END $$;
