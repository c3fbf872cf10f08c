-- Functions that name a run by what 0014_words of `ingest` renames.

CREATE OR REPLACE FUNCTION verdict_falls() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM context_falls(NEW.win, (SELECT format('%s/%s#%s is %s', s.name, r.name, NEW.number, NEW.state)
                                      FROM run r JOIN stream s ON s.id = r.stream_id WHERE r.id = NEW.run_id));
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION gate_falls() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM context_falls(NEW.win, (SELECT format('the gate of %s/%s#%s is shut: %s', s.name, r.name, v.number, NEW.shut_why)
                                      FROM verdict v JOIN run r ON r.id = v.run_id JOIN stream s ON s.id = r.stream_id
                                     WHERE v.id = NEW.verdict_id));
    RETURN NULL;
END $$;

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

CREATE OR REPLACE FUNCTION context_standing(of_win integer)
RETURNS TABLE (context text, pinned_win integer, verdict text, why text, fallen boolean, checked_at timestamptz,
               open_until timestamptz) LANGUAGE sql STABLE AS $$
    SELECT p.context, p.pinned_win, p.verdict,
           CASE WHEN newest.name IS NULL THEN format('%s has no verdict', p.verdict)
                WHEN newest.state <> 'PASS' THEN format('%s is %s', newest.name, newest.state)
                WHEN newest.name <> p.verdict THEN format('%s is not the newest of its window, %s is', p.verdict, newest.name)
                WHEN g.win IS NULL THEN format('the gate of %s was never opened', p.verdict)
                WHEN g.shut_why IS NOT NULL THEN format('the gate of %s is shut: %s', p.verdict, g.shut_why)
                WHEN NOT lease_holds(g.checked_at, g.open_until) THEN
                     format('the gate of %s was not re-checked since %s', p.verdict,
                            to_char(g.open_until AT TIME ZONE 'UTC', 'HH24:MI'))
           END,
           coalesce(newest.state <> 'PASS' OR newest.name <> p.verdict OR g.shut_why IS NOT NULL, true),
           g.checked_at, g.open_until
      FROM window_pin p
      LEFT JOIN LATERAL (
           SELECT v.state, s.name || '/' || r.name || '#' || v.number AS name
             FROM verdict v JOIN run r ON r.id = v.run_id JOIN stream s ON s.id = r.stream_id
            WHERE v.win = p.pinned_win ORDER BY v.number DESC LIMIT 1) newest ON true
      LEFT JOIN gate_open g ON g.win = p.pinned_win
     WHERE p.win = of_win
$$;
