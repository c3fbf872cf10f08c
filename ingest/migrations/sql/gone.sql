-- What a plan was to read again and its origin's log has no more: gaps of its source that say GONE. The origin's own receipts
-- stand in for them, so there is none without.

-- Gaps that say GONE, each with the offsets of its origin that it is of, and the window that these were read into.
CREATE VIEW gone_range AS
SELECT g.win, x.source_id, x.from_offset, x.to_offset, x.state, w.reruns AS origin_win, o.origin_source_id,
       o.start_offset + x.from_offset AS start_offset, o.start_offset + x.to_offset AS end_offset
  FROM gap x JOIN origin o ON o.source_id = x.source_id JOIN window_range g ON g.source_id = x.source_id
  JOIN run_window w ON w.id = g.win
 WHERE x.why = 'GONE';
GRANT SELECT ON gone_range TO passgate_app, passgate_auditor;

-- What stands in for offsets [of_from, of_to) of a plan's source: how many have a receipt at their origin, of the window that is
-- read again, and how many lie in a gap there that a second reader proved while they were there. One that has both has neither.
CREATE FUNCTION gone_stand_ins(of_source bigint, of_from bigint, of_to bigint)
RETURNS TABLE (receipts bigint, empty bigint) LANGUAGE sql STABLE AS $$
    WITH here AS (
        SELECT o.origin_source_id AS source_id, w.reruns AS win, o.start_offset + of_from AS start_offset,
               o.start_offset + of_to AS end_offset
          FROM origin o JOIN window_range g ON g.source_id = o.source_id JOIN run_window w ON w.id = g.win
         WHERE o.source_id = of_source),
    hole AS (
        SELECT coalesce(range_agg(int8range(greatest(g.from_offset, here.start_offset), least(g.to_offset, here.end_offset))),
                        '{}') AS spans
          FROM here JOIN gap g ON g.source_id = here.source_id AND g.state = 'PROVEN' AND g.why <> 'DELETED'
           AND g.from_offset < here.end_offset AND g.to_offset > here.start_offset),
    filed AS (
        SELECT t."offset" AS at
          FROM here JOIN receipt t ON t.source_id = here.source_id AND t."offset" >= here.start_offset AND t."offset" < here.end_offset
          JOIN batch b ON b.id = t.batch_id AND b.source_id = t.source_id AND b.win = here.win)
    SELECT n.outside, s.size - n.inside
      FROM (SELECT count(*) FILTER (WHERE NOT hole.spans @> filed.at) AS outside,
                   count(*) FILTER (WHERE hole.spans @> filed.at) AS inside FROM hole CROSS JOIN filed) n,
           (SELECT coalesce(sum(upper(u) - lower(u)), 0)::bigint AS size FROM hole, unnest(hole.spans) u) s
$$;

-- It is claimed while its rerun is open, of offsets that the plan has not read, all of which something stands in for; and proven by
-- a look at where the log began, before and after.
CREATE FUNCTION gone_stands_in() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    o record;
    n record;
    behind bigint;
BEGIN
    SELECT x.start_offset, x.end_offset - x.start_offset AS size, w.state, w.reruns INTO o
      FROM origin x JOIN window_range g ON g.source_id = x.source_id JOIN run_window w ON w.id = g.win
     WHERE x.source_id = NEW.source_id;
    IF o.reruns IS NULL OR NEW.from_offset < 0 OR NEW.to_offset > o.size OR TG_OP = 'INSERT' AND o.state <> 'OPEN' THEN
        PERFORM refuse('gone_of_an_open_rerun', format('source %s reads no window again at [%s, %s)', NEW.source_id,
                                                       NEW.from_offset, NEW.to_offset));
    END IF;
    IF TG_OP = 'INSERT' AND (
           EXISTS (SELECT FROM batch b WHERE b.source_id = NEW.source_id AND b.from_offset < NEW.to_offset
                                         AND b.to_offset > NEW.from_offset)
           OR EXISTS (SELECT FROM gap g WHERE g.source_id = NEW.source_id AND g.from_offset < NEW.to_offset
                                          AND g.to_offset > NEW.from_offset)) THEN
        PERFORM refuse('gone_was_not_read', format('a part of [%s, %s) of source %s was read again', NEW.from_offset,
                                                   NEW.to_offset, NEW.source_id));
    END IF;
    SELECT * INTO n FROM gone_stand_ins(NEW.source_id, NEW.from_offset, NEW.to_offset);
    IF n.receipts + n.empty IS DISTINCT FROM NEW.to_offset - NEW.from_offset THEN
        PERFORM refuse('gone_was_received', format('of [%s, %s) of source %s %s have a receipt at their origin, and %s are in a gap there',
                                                   NEW.from_offset, NEW.to_offset, NEW.source_id, n.receipts, n.empty));
    END IF;
    behind := o.start_offset + NEW.to_offset;
    IF NEW.state = 'PROVEN' AND (
           ((NEW.proof ->> 'log_start_before')::bigint >= behind AND (NEW.proof ->> 'log_start_after')::bigint >= behind) IS NOT TRUE
           OR (NEW.proof -> 'receipts', NEW.proof -> 'empty') IS DISTINCT FROM (to_jsonb(n.receipts), to_jsonb(n.empty))) THEN
        PERFORM refuse('gone_proof_names_log_start', format('nothing says that the log begins at %s or behind', behind));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER gone_stands_in BEFORE INSERT OR UPDATE ON gap FOR EACH ROW WHEN (NEW.why = 'GONE')
    EXECUTE FUNCTION gone_stands_in();
