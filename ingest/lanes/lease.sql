-- name: take
-- A lease's compare-and-set: a free or expired position gets a new owner and a higher fence. The clock is the
-- database's; a lease that would last for more than a minute was given before that clock stepped back, and is over too.
-- What a lane waited for has come, or it would not be taken; an error stands until the lane has got beyond it.
-- A row that somebody's transaction holds is left alone: whoever waited for it would hold up its own lanes.
WITH free AS (
    SELECT lane, source_id FROM position
     WHERE lane = %(lane)s AND source_id = %(source)s
       AND (owner IS NULL OR owner = %(owner)s
            OR until <= clock_timestamp() OR until > clock_timestamp() + interval '1 min')
       FOR NO KEY UPDATE SKIP LOCKED)
UPDATE position p
   SET owner = %(owner)s, fence = fence + 1, taken_at = clock_timestamp(),
       stopped_code = CASE WHEN p.stopped_code LIKE 'waits!_%%' ESCAPE '!' THEN NULL ELSE p.stopped_code END,
       stopped_detail = CASE WHEN p.stopped_code LIKE 'waits!_%%' ESCAPE '!' THEN NULL ELSE p.stopped_detail END,
       stopped_at = CASE WHEN p.stopped_code LIKE 'waits!_%%' ESCAPE '!' THEN NULL ELSE p.stopped_at END,
       stopped_until = CASE WHEN p.stopped_code LIKE 'waits!_%%' ESCAPE '!' THEN NULL ELSE p.stopped_until END,
       until = clock_timestamp() + make_interval(secs => %(seconds)s)
  FROM free WHERE p.lane = free.lane AND p.source_id = free.source_id
RETURNING p.fence, p.next_offset, p.leader_epoch, p.stream_id

-- name: renew
-- Prolongs a lease that is still ours and has not run out. No row: it is lost.
UPDATE position SET until = clock_timestamp() + make_interval(secs => %(seconds)s)
 WHERE lane = %(lane)s AND source_id = %(source)s AND owner = %(owner)s AND fence = %(fence)s
   AND until > clock_timestamp()
RETURNING fence

-- name: release
-- Gives a lease back before it runs out; one that is not ours any more stays as it is.
UPDATE position SET owner = NULL, until = NULL
 WHERE lane = %(lane)s AND source_id = %(source)s AND owner = %(owner)s AND fence = %(fence)s

-- name: stop
-- A lane that met an error it cannot go on with says so in its row and lets go; nobody takes it before stopped_until.
UPDATE position
   SET owner = NULL, until = NULL, stopped_code = %(code)s, stopped_detail = %(detail)s, stopped_at = clock_timestamp(),
       stopped_until = clock_timestamp() + make_interval(secs => %(seconds)s)
 WHERE lane = %(lane)s AND source_id = %(source)s AND owner = %(owner)s AND fence = %(fence)s

-- name: clear_stop
-- Takes back what `stop` wrote, once the lane has got beyond it.
UPDATE position SET stopped_code = NULL, stopped_detail = NULL, stopped_at = NULL, stopped_until = NULL
 WHERE lane = %(lane)s AND source_id = %(source)s AND owner = %(owner)s AND fence = %(fence)s AND stopped_code IS NOT NULL
