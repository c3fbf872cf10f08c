-- A rerun whose events come late for their Kafka key, by the consent of whoever asked for it: its verdicts say so.

-- As before (reruns.sql), and that somebody consented to what comes out of a key's order.
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
           SELECT CASE WHEN x.out_of_order THEN '{"out_of_order": true}'::jsonb ELSE '{}' END || jsonb_build_object('plan', x.plan, 'kind', x.kind, 'requested_by', x.requested_by,
                      'approved_by', x.approved_by, 'reason', x.reason, 'contract', jsonb_build_object(
                          'version', c.version, 'digest', encode(c.digest, 'hex')))
             FROM rerun x JOIN run_window me ON me.id = x.win JOIN run mine ON mine.id = me.run_id
             JOIN run_window first ON first.id = coalesce(me.reruns, mine.supersedes)
             JOIN contract c ON c.id = first.contract_id WHERE x.win = new.win) THEN
        PERFORM refuse('verdict_says_its_row', format('the body is of the rerun %s', new.body -> 'rerun'));
    END IF;
END $$;
