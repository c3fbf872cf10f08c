-- name: try_lock
-- One dispatcher at a time; the turn's row is locked until the transaction ends, so that a crash frees it.
SELECT try_turn('dispatch') AS mine

-- name: open_permits
-- A permit untaken for 10 s, or taken and not ended for longer than a slice, is lost and is replaced. Too early does no harm:
-- leases say who works on what. So is
-- one from a time to come: the database's clock has stepped back since.
SELECT count(*) AS n FROM permit
 WHERE ended_at IS NULL
   AND coalesce(taken_at, issued_at) <= clock_timestamp()
   AND (taken_at > clock_timestamp() - interval '30 s' OR taken_at IS NULL AND issued_at > clock_timestamp() - interval '10 s')

-- name: issue
-- One more permit for a slice of work.
INSERT INTO permit (id) VALUES (gen_random_uuid())

-- name: take_permit
-- A doubled task finds no permit and has nothing to do.
UPDATE permit SET taken_at = clock_timestamp()
 WHERE id = (SELECT id FROM permit WHERE taken_at IS NULL AND ended_at IS NULL
              ORDER BY issued_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id

-- name: end_permit
-- The slice is over, and its permit with it.
UPDATE permit SET ended_at = clock_timestamp() WHERE id = %(id)s

-- name: forget_permits
-- Deletes permits of more than ten minutes ago, which tell nobody anything.
DELETE FROM permit WHERE issued_at < clock_timestamp() - interval '10 min'
