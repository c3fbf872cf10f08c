-- name: states
-- Every lane with its state and a rank, trouble first: what `page` and `counts` go on from. In SQL and over all of them: a
-- page that looked at the first few hundred said nothing of what had stopped beyond. How long a lane has stood is asked of
-- the samples of those alone that have something before them now. Nothing else works a lane's state out. A plan reads its own
-- source and says how far it is: that is no lane of a worker; what it admitted is published by one, which is told while it
-- has something to do. A lag is of a log that is there: not of one that is retired, whose topic gave no answer, or that ends before
-- where the lane stood when Kafka was asked. Of what is null `greatest` would make 0.
WITH seen AS (
    SELECT p.*, s.name AS source, s.role, s.kind, st.name AS stream, n.lso, n.at AS sampled_at,
           p.lane <> 'publish' AND (n.at > clock_timestamp() - make_interval(secs => %(sample_max_age)s)) IS NOT TRUE AS stale,
           CASE WHEN p.lane = 'publish' THEN least(q.queued_at, a.prepared_at) ELSE b.at END AS waits_since,
           CASE WHEN p.lane <> 'publish' THEN
                     CASE WHEN n.at > clock_timestamp() - make_interval(secs => %(sample_max_age)s) AND n.lso >= n.stood_at
                               AND NOT EXISTS (SELECT FROM retirement o WHERE o.source_id = p.source_id)
                          THEN greatest(n.lso - p.next_offset, 0) END
                WHEN q.queued_at IS NULL AND a.prepared_at IS NULL THEN 0
                ELSE greatest(r.next_offset - p.next_offset, 0) END AS behind,
           p.lane <> 'publish' AND EXISTS (SELECT FROM retirement o WHERE o.source_id = p.source_id) AS retired
      FROM position p
      JOIN stream st ON st.id = p.stream_id
      JOIN (SELECT id, role, kind, topic || '/' || partition || CASE WHEN incarnation > 1 THEN ' log ' || incarnation ELSE '' END AS name
              FROM source) s ON s.id = p.source_id
      LEFT JOIN LATERAL (SELECT m.lso, m.at, coalesce(m.next_offset, 0) AS stood_at FROM sample m
                          WHERE m.source_id = p.source_id AND m.at <= clock_timestamp() AND p.lane <> 'publish'
                          ORDER BY m.at DESC LIMIT 1) n ON true
      LEFT JOIN LATERAL (SELECT m.at FROM sample m
                          WHERE n.lso > p.next_offset AND m.source_id = p.source_id
                            AND m.at > greatest(p.progressed_at, clock_timestamp() - interval '1 hour')
                            AND m.lso > p.next_offset
                          ORDER BY m.at LIMIT 1) b ON true
      LEFT JOIN LATERAL (SELECT x.queued_at FROM publish_queue x
                          WHERE p.lane = 'publish' AND x.source_id = p.source_id ORDER BY x.queued_at LIMIT 1) q ON true
      LEFT JOIN LATERAL (SELECT x.prepared_at FROM attempt x
                          WHERE p.lane = 'publish' AND x.source_id = p.source_id
                            AND x.state IN ('PREPARED', 'UNKNOWN', 'UNDECIDABLE') AND x.over_at IS NULL
                          ORDER BY x.prepared_at LIMIT 1) a ON true
      LEFT JOIN position r ON p.lane = 'publish' AND r.lane = 'admission' AND r.source_id = p.source_id
     WHERE (%(stream)s::text IS NULL OR st.name = %(stream)s)
       AND (%(sources)s::integer[] IS NULL OR p.source_id = ANY(%(sources)s))
       AND NOT (s.kind = 'plan' AND p.lane = 'admission')),
judged AS (
    SELECT seen.*,
           CASE WHEN retired THEN 'RETIRED'
                WHEN stopped_code LIKE 'waits!_%%' ESCAPE '!' THEN 'WAITS'
                WHEN stopped_code IS NOT NULL THEN 'STOPPED'
                WHEN behind IS NULL THEN 'UNMEASURED'
                WHEN behind = 0 THEN 'CAUGHT UP'
                WHEN clock_timestamp() - greatest(progressed_at, waits_since) > make_interval(secs => %(stalled_after)s)
                     THEN 'STALLED'
                ELSE 'MOVING' END AS state
      FROM seen),
ranked AS (
    SELECT judged.*, array_position(ARRAY['STOPPED', 'STALLED', 'WAITS', 'UNMEASURED', 'MOVING', 'CAUGHT UP', 'RETIRED'],
                                    state) AS rank
      FROM judged WHERE NOT (kind = 'plan' AND state = 'CAUGHT UP'))

-- name: page
-- Keyset by (rank, source, lane).
SELECT lane, source_id, source, role, stream, state, stale, rank, next_offset, behind, progressed_at, fence, stopped_code, stopped_detail,
       stopped_at, greatest(progressed_at, waits_since) AS stands_since,
       clock_timestamp() - greatest(progressed_at, waits_since) AS stands_for,
       CASE WHEN until > clock_timestamp() THEN owner END AS owner, until
  FROM ranked
 WHERE (%(states)s::text[] IS NULL OR state = ANY(%(states)s))
   AND (%(rank)s::integer IS NULL OR (rank, source_id, lane) > (%(rank)s, %(source)s, %(lane)s))
 ORDER BY rank, source_id, lane
 LIMIT %(size)s

-- name: counts
-- How many lanes are in each state, of all those of `states`.
SELECT state, count(*) AS n FROM ranked GROUP BY state

-- name: owners
-- Processes that hold leases now, and until when the last of them runs.
SELECT owner, count(*) AS leases, max(until) AS until
  FROM position WHERE owner IS NOT NULL AND until > clock_timestamp()
 GROUP BY owner ORDER BY owner LIMIT %(size)s
