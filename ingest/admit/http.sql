-- name: advance
-- The door takes its offsets inside the transaction: dense, in the order of the position row's lock. No row: fenced, or the
-- window is another by now. Where turns are taken, one waits for the run's before it waits for the row; not for long, since
-- whoever has it may be frozen: 55P03, and it is done again without.
UPDATE position
   SET next_offset = next_offset + %(records)s, progressed_at = clock_timestamp(),
       until = clock_timestamp() + make_interval(secs => %(seconds)s),
       win = %(win)s,
       next_win = CASE WHEN cut IS NOT NULL AND next_offset >= cut THEN NULL ELSE next_win END,
       cut = CASE WHEN cut IS NOT NULL AND next_offset >= cut THEN NULL ELSE cut END
  FROM (SELECT CASE WHEN %(turn)s THEN concat(
                 set_config('lock_timeout', %(patience)s, true),
                 door_turn(%(run)s),
                 set_config('lock_timeout', usual, true)) END
          FROM (SELECT current_setting('lock_timeout') AS usual OFFSET 0) AS before OFFSET 0) AS turn
 WHERE lane = 'admission' AND source_id = %(source)s AND fence = %(fence)s AND owner = %(owner)s
   AND %(win)s = CASE WHEN cut IS NOT NULL AND next_offset >= cut THEN next_win ELSE win END
RETURNING next_offset - %(records)s AS start, nextval('batch_id_seq') AS batch_id

-- name: free_doors
-- Doors of a stream that nobody holds a lease of, the first ones first.
SELECT p.source_id FROM position p JOIN source s ON s.id = p.source_id
 WHERE p.lane = 'admission' AND p.stream_id = %(stream)s AND s.kind = 'door'
   AND (p.owner IS NULL OR p.until <= clock_timestamp())
 ORDER BY s.partition

-- name: next_door
-- The number of the next door to be made for a stream.
SELECT coalesce(max(partition) + 1, 0) AS number FROM source
 WHERE stream_id = %(stream)s AND kind = 'door' AND role = 'inbox'

-- name: add_door
-- One more door; it has the first installation's id where a topic's source has the topic's.
INSERT INTO source (stream_id, role, kind, cluster_id, topic_id, topic, partition)
SELECT %(stream)s, 'inbox', 'door', 'door', i.install_id::text, 'http', %(number)s FROM install i WHERE i.id = 1
RETURNING id

-- name: open_window
-- Share-locked: whoever cuts the window locks this row first, so a door is bound before the cut or not at all.
SELECT w.id FROM run_window w JOIN run r ON r.id = w.run_id
 WHERE r.stream_id = %(stream)s AND r.state = 'OPEN' AND w.state = 'OPEN' AND w.reruns IS NULL FOR SHARE OF w

-- name: bound
-- Whether the window has a range of this source already.
SELECT 1 FROM window_range WHERE win = %(win)s AND source_id = %(source)s

-- name: insert_range
-- Binds the source to the window, from this offset on.
INSERT INTO window_range (win, source_id, start_offset) VALUES (%(win)s, %(source)s, %(start)s)
