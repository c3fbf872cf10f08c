-- name: identity
-- Which Postgres this is. A restore or a promotion starts another timeline. It is that of the WAL that is written now: what the
-- control file says is the last checkpoint's, and the first one after a promotion takes most of checkpoint_timeout.
SELECT (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier,
       CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint())
            ELSE ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::integer END AS timeline

-- name: insert_snapshot
-- What the broker and the database said at this moment, as it was said.
INSERT INTO snapshot (win, kind, taken_at, facts) VALUES (%(win)s, %(kind)s, %(at)s, %(facts)s) RETURNING id

-- name: end_snapshot
-- What was seen when the window was cut: the first such snapshot counts.
SELECT facts, taken_at FROM snapshot WHERE win = %(win)s AND kind = 'END' ORDER BY id LIMIT 1

-- name: append_basis
-- The next generation: two at once meet at the primary key, and the loser's transaction is done again.
INSERT INTO basis (win, generation, snapshot_id, facts, digest, why, plan)
SELECT %(win)s, coalesce(max(generation), 0) + 1, %(snapshot)s, %(facts)s, %(digest)s, %(why)s, %(plan)s
  FROM basis WHERE win = %(win)s
RETURNING generation

-- name: basis
-- All generations of what the window stands on, the oldest first.
SELECT generation, facts, recorded_at, why, plan FROM basis WHERE win = %(win)s ORDER BY generation

-- name: later_sources
-- Sources first seen after this window was cut: they belong to a later window and are not this one's business.
SELECT s.role, s.kind, s.topic, s.partition
  FROM window_range r JOIN source s ON s.id = r.source_id
  JOIN run_window w ON w.id = %(win)s JOIN run ON run.id = w.run_id
 WHERE s.stream_id = run.stream_id AND r.win > %(win)s AND s.kind <> 'plan'
   AND NOT EXISTS (SELECT FROM window_range mine WHERE mine.win = %(win)s AND mine.source_id = r.source_id)
