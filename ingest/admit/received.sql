-- name: newest
-- The newest receipt below a position: one step down its own key.
SELECT "offset", payload_digest FROM receipt WHERE source_id = %(source)s AND "offset" < %(position)s
 ORDER BY "offset" DESC LIMIT 1
