-- Which installation the ledger is changes by a plan alone, from the one that its approver saw.

ALTER TABLE install ADD CONSTRAINT install_plan_fk FOREIGN KEY (plan) REFERENCES plan (id);
CREATE FUNCTION install_of_its_plan() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    p plan;
BEGIN
    SELECT * INTO p FROM plan WHERE id = NEW.plan;
    IF p.id IS NULL OR (p.kind, p.state, p.binds -> 'facts' ->> 'install')
       IS DISTINCT FROM ('adopt', 'RUNNING', (SELECT i.install_id::text FROM install i ORDER BY i.id DESC LIMIT 1)) THEN
        PERFORM refuse('install_of_its_plan', format('plan %s does not adopt this ledger', NEW.plan));
    END IF;
    NEW.created_at := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER install_of_its_plan BEFORE INSERT ON install FOR EACH ROW EXECUTE FUNCTION install_of_its_plan();

-- No number that the lost ledger gave since the copy is given again: processes that lived through the loss remember contracts,
-- runs and attempts by theirs. Far enough for years of what flows, and a million of what people and clocks make, whose numbers
-- are integers. As the owner, for setval takes more than the application may.
CREATE FUNCTION count_on_from_afar() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    flows CONSTANT text[] := '{attempt_id_seq,batch_id_seq,bus_batch_id_seq,quarantine_item_id_seq,sample_id_seq}';
BEGIN
    PERFORM setval(format('%I.%I', s.schemaname, s.sequencename)::regclass,
                   coalesce(s.last_value, 0) + CASE WHEN s.sequencename = ANY (flows) THEN 1::bigint << 40 ELSE 1000000 END)
       FROM pg_sequences s WHERE s.schemaname = 'public' AND s.data_type IN ('bigint'::regtype, 'integer'::regtype);
    RETURN NULL;
END $$;
CREATE TRIGGER count_on_from_afar AFTER INSERT ON install FOR EACH ROW EXECUTE FUNCTION count_on_from_afar();

-- Nobody publishes as an installation that the ledger was.
CREATE FUNCTION attempt_of_this_install() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.install_id IS DISTINCT FROM (SELECT i.install_id FROM install i ORDER BY i.id DESC LIMIT 1) THEN
        PERFORM refuse('attempt_of_this_install', format('installation %s is not this ledger any more', NEW.install_id));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER attempt_of_this_install BEFORE INSERT ON attempt FOR EACH ROW EXECUTE FUNCTION attempt_of_this_install();
