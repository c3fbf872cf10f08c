-- What an approved plan ended: nobody asks Kafka any more for an incarnation of a topic that was moved on purpose.

SELECT guard_append_only('recheck_end'::regclass);
GRANT SELECT, INSERT ON recheck_end TO passgate_app;
GRANT USAGE ON SEQUENCE recheck_end_id_seq TO passgate_app;
GRANT SELECT ON recheck_end TO passgate_auditor;

-- The end of re-checks that a window's inbox stands on, the first there was; no row: it is re-checked. One incarnation may get
-- another window later, which is none of those whose re-checks were ended.
CREATE FUNCTION recheck_end_of(of_win integer) RETURNS SETOF recheck_end LANGUAGE sql STABLE AS $$
    SELECT e.* FROM recheck_end e
     WHERE e.last_win >= of_win
       AND EXISTS (SELECT FROM source s JOIN window_range r ON r.source_id = s.id AND r.win = of_win
                    WHERE s.stream_id = e.stream_id AND s.role = e.role AND s.kind = 'topic'
                      AND s.cluster_id = e.cluster_id AND s.topic_id = e.topic_id)
     ORDER BY e.id LIMIT 1
$$;
