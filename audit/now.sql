-- name: fingerprint
-- Everything that a window's facts rest on, as one text: batches, positions, attempts, places, effects, items, gaps, totals,
-- ranges, contradictions, decisions, foreign records, the basis. Whatever changes a fact changes one of these; none of them takes a
-- look at receipts or events. Effects and places only ever change together with a position, a bus batch or an attempt.
SELECT clock_timestamp() AS at,
       concat_ws(' ', w.state, w.revision,
         (SELECT concat(count(*), '/', max(id)) FROM batch WHERE win = w.id),
         (SELECT concat(sum(next_offset), '/', sum(coalesce(cut, 0)), '/', max(progressed_at)) FROM position
           WHERE stream_id = r.stream_id),
         (SELECT string_agg(concat(a.state, count), ',' ORDER BY a.state) FROM (
             SELECT a.state, count(*) AS count FROM attempt a JOIN source c ON c.id = a.source_id
              WHERE c.stream_id = r.stream_id GROUP BY a.state) a),
         -- a lane that lost its lease leaves its PREPARED attempt without anybody who could tell: that is a change, too
         (SELECT concat(sum(p.fence), '/', count(*) FILTER (WHERE p.until > clock_timestamp())) FROM position p
           WHERE p.stream_id = r.stream_id AND p.lane = 'publish'),
         (SELECT concat(count(*), '/', sum(q.events)) FROM publish_queue q JOIN source c ON c.id = q.source_id
           WHERE c.stream_id = r.stream_id),
         (SELECT count(*) FROM quarantine_item WHERE win = w.id AND state = 'OPEN'),
         (SELECT concat(count(*), '/', count(*) FILTER (WHERE g.state = 'PROVEN'))
            FROM gap g JOIN window_range x ON x.source_id = g.source_id WHERE x.win = w.id),
         (SELECT max(id) FROM control_total WHERE win = w.id),
         (SELECT concat(count(*), '/', sum(end_offset)) FROM window_range WHERE win = w.id),
         (SELECT count(*) FROM contradiction WHERE win = w.id),
         (SELECT count(*) FROM attempt_decision),
         (SELECT concat(count(*), '/', max(f.id)) FROM foreign_record f JOIN source c ON c.id = f.source_id
           WHERE c.stream_id = r.stream_id),
         (SELECT max(generation) FROM basis WHERE win = w.id)) AS fingerprint
  FROM run_window w JOIN run r ON r.id = w.run_id WHERE w.id = %(win)s

-- name: newest
-- When the window was cut or its newest batch committed: a sample that counts is younger.
SELECT greatest(w.cut_at, (SELECT max(committed_at) FROM batch WHERE win = w.id)) AS at FROM run_window w WHERE w.id = %(win)s

-- name: kept
-- Whoever counted last, in whichever process.
SELECT fingerprint, facts, counted_at, took, clock_timestamp() AS now
  FROM kept_facts WHERE win = %(win)s AND shape = %(shape)s

-- name: keep
-- Two processes may count at once: the younger facts stay, whoever is done last.
INSERT INTO kept_facts AS k (win, shape, fingerprint, facts, counted_at, took)
VALUES (%(win)s, %(shape)s, %(fingerprint)s, %(facts)s, %(at)s, %(took)s)
ON CONFLICT (win) DO UPDATE
   SET shape = excluded.shape, fingerprint = excluded.fingerprint, facts = excluded.facts, counted_at = excluded.counted_at,
       took = excluded.took
 WHERE k.counted_at < excluded.counted_at OR k.shape <> excluded.shape

-- name: forget
-- Drops the facts that are kept of a window, so that the next look counts anew.
DELETE FROM kept_facts WHERE win = %(win)s
