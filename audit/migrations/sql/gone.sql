-- A verdict says how much of what its plan was to read again was gone, and what stood in for it, whatever it says besides.

-- Null: nothing was. How many of the payloads are kept is measured, and not held here.
CREATE FUNCTION window_gone(of_win integer) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN count(*) > 0 THEN jsonb_build_object('offsets', sum(x.to_offset - x.from_offset),
                                                          'receipts', sum(n.receipts), 'empty', sum(n.empty)) END
      FROM gone_range x CROSS JOIN LATERAL gone_stand_ins(x.source_id, x.from_offset, x.to_offset) n
     WHERE x.win = of_win
$$;

CREATE FUNCTION verdict_names_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.body -> 'gone') - 'unkept' - 'batches' IS DISTINCT FROM window_gone(NEW.win) THEN
        PERFORM refuse('verdict_names_gone', format('gone is %s, and the body says %s', window_gone(NEW.win), NEW.body -> 'gone'));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER verdict_names_gone BEFORE INSERT ON verdict FOR EACH ROW EXECUTE FUNCTION verdict_names_gone();
