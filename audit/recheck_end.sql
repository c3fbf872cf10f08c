-- name: incarnations
-- Incarnations of a stream's inbox topic that windows read, the newest last: with their sources, the newest window, how many
-- were never judged, and whether their log is known to be gone.
SELECT s.cluster_id, s.topic_id, array_agg(DISTINCT s.id) AS sources, max(r.win) AS last_win, min(s.id) AS first_source,
       bool_or(EXISTS (SELECT FROM retirement t WHERE t.source_id = s.id)) AS gone
  FROM source s JOIN stream st ON st.id = s.stream_id JOIN window_range r ON r.source_id = s.id
 WHERE st.name = %(stream)s AND s.role = 'inbox' AND s.kind = 'topic' AND s.topic = %(topic)s
   AND (%(topic_id)s::text IS NULL OR s.topic_id = %(topic_id)s)
   AND (%(cluster_id)s::text IS NULL OR s.cluster_id = %(cluster_id)s)
 GROUP BY s.cluster_id, s.topic_id ORDER BY first_source

-- name: windows
-- The windows of an incarnation, each with its newest verdict, and whether a gate of it is re-checked: it was not shut, and
-- no plan ended that.
SELECT w.id AS win, r.name || ' window ' || w.number AS name, w.contract_id, v.state, coalesce(v.waived, false) AS waived,
       s.name || '/' || r.name || '#' || coalesce(o.number, v.number) AS verdict, e.plan AS ended_by,
       g.win IS NOT NULL AND g.shut_why IS NULL AND e.plan IS NULL AS re_checked
  FROM run_window w JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id
  LEFT JOIN LATERAL (SELECT id, number, state, waived FROM verdict WHERE win = w.id ORDER BY number DESC LIMIT 1) v ON true
  LEFT JOIN gate_open g ON g.win = w.id LEFT JOIN verdict o ON o.id = g.verdict_id
  LEFT JOIN LATERAL recheck_end_of(w.id) e ON true
 WHERE w.id IN (SELECT x.win FROM window_range x WHERE x.source_id = ANY(%(sources)s)) ORDER BY w.id

-- name: newest_contract
-- The stream and its newest contract.
SELECT s.id AS stream, c.id AS contract FROM stream s JOIN contract c ON c.stream_id = s.id
 WHERE s.name = %(stream)s ORDER BY c.version DESC LIMIT 1

-- name: write
-- The trigger recheck_end_of_its_plan holds this against the running plan.
INSERT INTO recheck_end (stream_id, role, topic, cluster_id, topic_id, last_win, plan, requested_by, approved_by, reason)
VALUES (%(stream)s, %(role)s, %(topic)s, %(cluster_id)s, %(topic_id)s, %(last_window)s, %(plan)s, %(requested_by)s,
        %(approved_by)s, %(reason)s)
