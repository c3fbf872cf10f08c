-- A log that was cut and goes on as another one, under the same topic id: offsets from there on are another source's.

-- Up to which offset a source's log is still what was read of it; null: nothing says that it is not. A later incarnation may have
-- been cut further down.
CREATE FUNCTION log_kept_to(of_source bigint) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT min(t.kept_to)
      FROM source s
      JOIN source o ON (o.cluster_id, o.topic_id, o.partition, o.stream_id, o.role) = (s.cluster_id, s.topic_id, s.partition, s.stream_id, s.role)
       AND o.incarnation >= s.incarnation
      JOIN retirement t ON t.source_id = o.id
     WHERE s.id = of_source
$$;

-- A next incarnation follows one of which is written down where it ends.
CREATE FUNCTION source_follows_log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.incarnation < 1 OR NEW.kind <> 'topic' OR NOT EXISTS (
        SELECT FROM source o JOIN retirement t ON t.source_id = o.id AND t.kept_to IS NOT NULL
         WHERE (o.cluster_id, o.topic_id, o.partition, o.stream_id, o.role)
             = (NEW.cluster_id, NEW.topic_id, NEW.partition, NEW.stream_id, NEW.role)
           AND o.incarnation = NEW.incarnation - 1) THEN
        PERFORM refuse('source_follows_log', format('nothing says where the log before log %s of %s/%s ends',
                                                    NEW.incarnation, NEW.topic, NEW.partition));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER source_follows_log BEFORE INSERT ON source FOR EACH ROW WHEN (NEW.incarnation <> 1)
    EXECUTE FUNCTION source_follows_log();

-- A log is cut below where its lane stands; of a bus none is followed.
CREATE FUNCTION retirement_of_a_cut_log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM source s JOIN position p ON p.source_id = s.id AND p.lane = 'admission'
                    WHERE s.id = NEW.source_id AND s.kind = 'topic' AND s.role = 'inbox' AND p.next_offset > NEW.kept_to) THEN
        PERFORM refuse('retirement_of_a_cut_log', format('the lane of source %s stands at or below %s', NEW.source_id, NEW.kept_to));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER retirement_of_a_cut_log BEFORE INSERT ON retirement FOR EACH ROW WHEN (NEW.kept_to IS NOT NULL)
    EXECUTE FUNCTION retirement_of_a_cut_log();
