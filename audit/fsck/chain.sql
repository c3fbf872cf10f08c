-- name: rows
-- The audit log in order, a page at a time.
SELECT id, at, actor, act, subject, reason, refused, detail, previous, digest
  FROM audit_log WHERE id > %(after)s AND id <= %(upto)s ORDER BY id LIMIT %(page)s

-- name: head
-- The head and the newest row of one moment: a walk ends there, and rows that come meanwhile are of later.
SELECT last_id AS id, digest, (SELECT coalesce(max(id), 0) FROM audit_log) AS newest FROM audit_head WHERE id = 1

-- name: acts
-- Acts and the rows that they left, both ways: a row that no act in the audit log explains, and an act whose row is not
-- there, or says something else. A refusal left no row.
WITH act AS (SELECT subject, act, actor, reason, detail FROM audit_log WHERE NOT refused),
named AS (SELECT r.id, r.stream_id, s.name || '/' || r.name AS name, r.contract_id, r.opened_by
            FROM run r JOIN stream s ON s.id = r.stream_id WHERE %(stream)s::text IS NULL OR s.name = %(stream)s),
cut AS (SELECT w.id, n.name, w.number, w.rerun, w.by_plan,
               coalesce(jsonb_object_agg(CASE c.kind WHEN 'topic' THEN 'inbox' WHEN 'plan' THEN c.topic ELSE c.kind END || '/' || c.partition, g.end_offset)
                        FILTER (WHERE c.id IS NOT NULL), '{}') AS cuts
          FROM named n JOIN run_window w ON w.run_id = n.id AND w.state = 'CUT'
          LEFT JOIN window_range g ON g.win = w.id
          LEFT JOIN source c ON c.id = g.source_id AND c.role = 'inbox'
         GROUP BY 1, 2, 3, 4, 5)
(SELECT 'contract ' || s.name || ' v' || c.version AS subject, 'no act loaded it' AS found
   FROM contract c JOIN stream s ON s.id = c.stream_id
  WHERE (%(stream)s::text IS NULL OR s.name = %(stream)s)
    AND NOT EXISTS (SELECT FROM act a WHERE a.act = 'contract.load' AND a.subject = s.name AND a.actor = c.loaded_by
                       AND a.detail ->> 'version' = c.version::text AND a.detail ->> 'digest' = encode(c.digest, 'hex'))
  LIMIT %(most)s)
UNION ALL
(SELECT 'run ' || n.name, 'no act opened it'
   FROM named n JOIN contract c ON c.id = n.contract_id
  WHERE NOT EXISTS (SELECT FROM act a WHERE a.act = 'run.open' AND a.subject = n.name AND a.actor = n.opened_by
                       AND a.detail ->> 'digest' = encode(c.digest, 'hex'))
  LIMIT %(most)s)
UNION ALL
(SELECT 'run ' || x.name, 'no act cut window ' || x.number || ' where it ends'
   FROM cut x
  WHERE NOT EXISTS (SELECT FROM act a WHERE a.subject = x.name AND a.detail ->> 'rerun' IS NOT DISTINCT FROM x.rerun::text
                       AND (a.act IN ('run.cut', 'run.seal') OR a.act = 'rerun.cut' AND x.by_plan)
                       AND a.detail ->> 'window' = x.number::text AND a.detail -> 'cuts' = x.cuts)
  LIMIT %(most)s)
UNION ALL
(SELECT 'run ' || n.name, 'no act declared ' || t.declared || ' of ' || t.event_class
   FROM named n JOIN run_window w ON w.run_id = n.id JOIN control_total t ON t.win = w.id
  WHERE NOT EXISTS (SELECT FROM act a WHERE a.act = 'run.totals' AND a.subject = n.name AND a.actor = t.declared_by
                       AND a.detail ->> t.event_class = t.declared::text)
  LIMIT %(most)s)
UNION ALL
(SELECT n.name || '#' || v.number, 'no act stored it'
   FROM named n JOIN verdict v ON v.run_id = n.id
  WHERE NOT EXISTS (SELECT FROM act a WHERE a.act = 'run.verdict' AND a.subject = n.name AND a.actor = v.decided_by
                       AND a.detail ->> 'state' = v.state AND a.detail ->> 'digest' = encode(v.digest, 'hex'))
  LIMIT %(most)s)
UNION ALL
(SELECT 'item ' || q.id, 'no act resolved it'
   FROM named n JOIN quarantine_item q ON q.run_id = n.id
  WHERE q.state = 'RESOLVED'
    AND NOT EXISTS (SELECT FROM act a WHERE a.act = 'quarantine.resolve' AND a.subject = n.name AND a.actor = q.resolved_by
                       AND a.reason = q.resolved_reason AND a.detail ->> 'resolution' = q.resolution
                       AND (a.detail -> 'items' @> to_jsonb(q.id)
                            OR (a.detail ->> 'count')::bigint > jsonb_array_length(a.detail -> 'items')))
  LIMIT %(most)s)
UNION ALL
(SELECT 'reconcile request ' || q.id, 'no act asked for it'
   FROM reconcile_request q JOIN attempt t ON t.id = q.attempt_id JOIN source c ON c.id = t.source_id
   JOIN stream s ON s.id = c.stream_id
  WHERE (%(stream)s::text IS NULL OR s.name = %(stream)s)
    AND NOT EXISTS (SELECT FROM act a WHERE a.act = 'attempt.reconcile' AND a.actor = q.requested_by
                       AND a.detail -> 'attempts' @> to_jsonb(q.attempt_id))
  LIMIT %(most)s)
UNION ALL
(SELECT 'window ' || w.number || ' of ' || n.name, 'no act took in generation ' || b.generation || ' of its basis'
   FROM named n JOIN run_window w ON w.run_id = n.id JOIN basis b ON b.win = w.id AND b.generation > 1
  WHERE b.why <> 'doors were bound'
    AND NOT EXISTS (SELECT FROM act a WHERE a.act = CASE WHEN b.plan IS NULL THEN 'basis.grown' ELSE 'basis.refreshed' END
                       AND a.subject = n.name)
  LIMIT %(most)s)
UNION ALL
(SELECT 'act contract.load of ' || a.subject, 'its contract, version ' || (a.detail ->> 'version') || ', is not there'
   FROM act a
  WHERE a.act = 'contract.load' AND (%(stream)s::text IS NULL OR a.subject = %(stream)s)
    AND NOT EXISTS (SELECT FROM contract c JOIN stream s ON s.id = c.stream_id AND s.name = a.subject
                     WHERE encode(c.digest, 'hex') = a.detail ->> 'digest')
  LIMIT %(most)s)
UNION ALL
(SELECT 'act ' || a.act || ' of ' || a.subject, 'its run is not there'
   FROM act a
  WHERE a.act LIKE 'run.%%' AND (%(stream)s::text IS NULL OR split_part(a.subject, '/', 1) = %(stream)s)
    AND NOT EXISTS (SELECT FROM run r JOIN stream s ON s.id = r.stream_id WHERE s.name || '/' || r.name = a.subject)
  LIMIT %(most)s)
UNION ALL
(SELECT 'act run.verdict of ' || a.subject, 'its verdict, ' || (a.detail ->> 'verdict') || ', is not there'
   FROM act a
  WHERE a.act = 'run.verdict' AND (%(stream)s::text IS NULL OR split_part(a.subject, '/', 1) = %(stream)s)
    AND NOT EXISTS (SELECT FROM verdict v JOIN run r ON r.id = v.run_id JOIN stream s ON s.id = r.stream_id
                     WHERE s.name || '/' || r.name || '#' || v.number = a.detail ->> 'verdict'
                       AND encode(v.digest, 'hex') = a.detail ->> 'digest')
  LIMIT %(most)s)
UNION ALL
(SELECT 'act run.totals of ' || a.subject, 'its declaration of ' || d.key || ' is not there'
   FROM act a JOIN named n ON n.name = a.subject CROSS JOIN LATERAL jsonb_each_text(a.detail) AS d(key, value)
  WHERE a.act = 'run.totals'
    AND NOT EXISTS (SELECT FROM run_window w JOIN control_total t ON t.win = w.id
                     WHERE w.run_id = n.id AND t.event_class = d.key AND t.declared::text = d.value)
  LIMIT %(most)s)
