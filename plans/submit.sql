-- name: submit
-- The trigger plan_begins holds digest and row against what is bound; items, origins and history are made of it.
INSERT INTO plan (kind, stream_id, run_id, win, binds, digest, reason, requested_by, requested_person, acted_by, expires_at,
                  first_n, rate, stop_when)
VALUES (%(kind)s, %(stream)s, %(run)s, %(win)s, %(binds)s, %(digest)s, %(reason)s, %(who)s, %(person)s, %(who)s,
        clock_timestamp() + %(expire)s, %(first)s, %(rate)s, %(stop_when)s)
RETURNING id
