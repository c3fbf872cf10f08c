-- name: seen
-- A plan as it is now, held by nobody.
SELECT p.* FROM plan p WHERE p.id = %(plan)s
