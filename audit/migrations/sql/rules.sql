-- Verdicts and what they rest on are append-only; the gate's row follows a standing PASS; readers see what is gated.

SELECT guard_append_only(t::regclass) FROM unnest(ARRAY['snapshot', 'basis', 'verdict', 'gate_decision']) t;
SELECT guard_no_delete('gate_open'::regclass);

-- I10: the lease is written only for a PASS of that very window, the newest one. Shutting is always allowed.
CREATE FUNCTION gate_transition() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE newest verdict;
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.win <> OLD.win THEN
        PERFORM refuse('gate_follows_pass', 'a lease keeps its window');
    END IF;
    IF TG_OP = 'UPDATE' AND NEW.open_until <= clock_timestamp() THEN
        RETURN NEW;
    END IF;
    SELECT * INTO newest FROM verdict WHERE win = NEW.win ORDER BY number DESC LIMIT 1;
    IF newest.id IS DISTINCT FROM NEW.verdict_id OR newest.state IS DISTINCT FROM 'PASS' THEN
        PERFORM refuse('gate_follows_pass', format('window %s has no standing PASS %s', NEW.win, NEW.verdict_id));
    END IF;
    IF EXISTS (SELECT FROM contradiction c WHERE c.win = NEW.win) THEN
        PERFORM refuse('gate_follows_pass', format('window %s has a contradiction', NEW.win));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER gate_transition BEFORE INSERT OR UPDATE ON gate_open FOR EACH ROW EXECUTE FUNCTION gate_transition();

-- Row security of one readable table. ARRAY(SELECT …) is one look-up a statement; EXISTS would be one a row.
CREATE FUNCTION guard_truth_table(guarded regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', guarded);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', guarded);
    EXECUTE format('CREATE POLICY gated ON %s FOR SELECT TO passgate_reader USING '
                   '(win = ANY(ARRAY(SELECT g.win FROM public.gate_open g WHERE g.open_until > clock_timestamp())))', guarded);
    EXECUTE format('CREATE POLICY ledger ON %s FOR SELECT TO passgate_app, passgate_auditor USING (true)', guarded);
    EXECUTE format('CREATE POLICY projection ON %s FOR INSERT TO passgate_app WITH CHECK (true)', guarded);
    EXECUTE format('GRANT SELECT, INSERT ON %s TO passgate_app', guarded);
    EXECUTE format('GRANT SELECT ON %s TO passgate_reader, passgate_auditor', guarded);
    PERFORM guard_append_only(guarded);
END $$;

GRANT SELECT, INSERT ON snapshot, basis, verdict, gate_open, gate_decision, enforcement TO passgate_app;
GRANT UPDATE (verdict_id, open_until, checked_at, shut_why) ON gate_open TO passgate_app;
GRANT UPDATE (looked_at, outcome) ON enforcement TO passgate_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO passgate_app;
GRANT SELECT ON snapshot, basis, verdict, gate_open, gate_decision, enforcement TO passgate_auditor;
-- the policy runs with the reader's rights: it needs these two columns, and a schema to find them in
GRANT USAGE ON SCHEMA public TO passgate_reader;
GRANT SELECT (win, open_until) ON gate_open TO passgate_reader;
