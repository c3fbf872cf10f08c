-- A basis grows and never changes: what a later generation may say otherwise than the one before it.

-- ------------------------------------------------------------------ what a topic promises
-- Whether one setting promises less than it did. The rule is that of ingest/core/posture.py, told once more: what is not
-- understood is less, for nobody knows what it takes away. A setting that was not known is no promise.
CREATE FUNCTION setting_promises_less(name text, was text, now_ text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN was IS NULL OR was = now_ OR name = 'brokers' THEN false
        WHEN now_ IS NULL THEN true
        WHEN name = 'cleanup.policy' THEN NOT (was LIKE '%compact%' AND now_ NOT LIKE '%compact%')
        WHEN name = 'message.timestamp.type' THEN now_ <> 'LogAppendTime'
        WHEN name = 'unclean.leader.election.enable' THEN now_ <> 'false'
        WHEN name IN ('retention.bytes', 'retention.ms') AND '-1' IN (was, now_) THEN now_ <> '-1'
        WHEN name IN ('retention.bytes', 'retention.ms', 'max.message.bytes', 'min.insync.replicas', 'replication.factor')
             AND was ~ '^-?[0-9]{1,30}$' AND now_ ~ '^-?[0-9]{1,30}$' THEN now_::numeric < was::numeric
        ELSE true END
$$;

CREATE FUNCTION posture_promises_less(was jsonb, now_ jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT EXISTS (SELECT FROM jsonb_each_text(coalesce(was, '{}')) p(name, said)
                    WHERE setting_promises_less(p.name, p.said, now_ ->> p.name))
$$;

-- ------------------------------------------------------------------ generations
-- S1: cluster, topics, beginnings, sources and the database stay; a leader epoch only rises. What promises less than it did
-- comes by a plan (basis_of_its_plan holds it against that).
CREATE FUNCTION basis_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before jsonb := (SELECT b.facts FROM basis b WHERE b.win = NEW.win AND b.generation = NEW.generation - 1);
    role text;
    odd text;
BEGIN
    IF NEW.generation = 1 AND NEW.plan IS NULL THEN
        RETURN NEW;
    END IF;
    IF before IS NULL THEN
        PERFORM refuse('basis_only_grows', format('window %s has no generation before %s', NEW.win, NEW.generation));
    END IF;
    IF NEW.facts -> 'schema' IS DISTINCT FROM before -> 'schema' THEN
        odd := 'its shape';
    ELSIF NEW.facts #> '{broker,cluster_id}' IS DISTINCT FROM before #> '{broker,cluster_id}' THEN
        odd := 'the cluster';
    ELSIF NEW.facts -> 'database' IS DISTINCT FROM (  -- of the first: versions before let it change from one to the next
              SELECT b.facts -> 'database' FROM basis b WHERE b.win = NEW.win AND b.generation = 1) THEN
        odd := 'the database';
    END IF;
    FOREACH role IN ARRAY ARRAY['inbox', 'bus'] LOOP
        IF EXISTS (SELECT FROM jsonb_array_elements(before -> role) x WHERE NOT NEW.facts -> role @> jsonb_build_array(x)) THEN
            odd := format('the sources of the %s', role);
        ELSIF NOT before -> 'broker' ? role THEN
            CONTINUE;
        ELSIF (NEW.facts #> ARRAY['broker', role, 'topic_id'], NEW.facts #> ARRAY['broker', role, 'name'])
              IS DISTINCT FROM (before #> ARRAY['broker', role, 'topic_id'], before #> ARRAY['broker', role, 'name']) THEN
            odd := format('the topic of the %s', role);
        ELSIF EXISTS (SELECT FROM jsonb_each(before #> ARRAY['broker', role, 'partitions']) p(number, log),
                             LATERAL (SELECT NEW.facts #> ARRAY['broker', role, 'partitions', p.number] AS is_) n
                       WHERE n.is_ IS NULL OR (n.is_ - 'leader_epoch') <> (p.log - 'leader_epoch')
                          OR coalesce((n.is_ ->> 'leader_epoch')::bigint < (p.log ->> 'leader_epoch')::bigint,
                                      p.log ? 'leader_epoch')) THEN
            odd := format('the logs of the %s', role);
        ELSIF NEW.plan IS NULL AND posture_promises_less(before #> ARRAY['broker', role, 'posture'],
                                                         NEW.facts #> ARRAY['broker', role, 'posture']) THEN
            odd := format('what the %s promises, and less, without a plan', role);
        END IF;
    END LOOP;
    IF odd IS NOT NULL THEN
        PERFORM refuse('basis_only_grows', format('generation %s of window %s says otherwise: %s', NEW.generation, NEW.win, odd));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER basis_only_grows BEFORE INSERT ON basis FOR EACH ROW EXECUTE FUNCTION basis_only_grows();
