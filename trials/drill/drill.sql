-- What the drill reads. Every statement is a SELECT; the connection is read-only besides.

-- name: positions
-- How far lanes are that commit to Kafka, and why a lane stands, if one does.
SELECT p.lane, c.topic, c.partition, p.next_offset, p.stopped_code
  FROM position p JOIN source c ON c.id = p.source_id JOIN stream s ON s.id = p.stream_id WHERE s.name = %(stream)s

-- name: install
-- Which groups are its lanes'.
SELECT install_id FROM install ORDER BY id DESC LIMIT 1

-- name: attempts
-- How many attempts the stream has by state, and how many of these had no known outcome for a while.
SELECT a.state, count(*) AS n, count(a.unknown_at) AS unknowns
  FROM attempt a JOIN source c ON c.id = a.source_id JOIN stream s ON s.id = c.stream_id
 WHERE s.name = %(stream)s GROUP BY a.state

-- name: effects
-- How many effects the stream has.
SELECT count(*) AS n FROM effect e JOIN run r ON r.id = e.run_id JOIN stream s ON s.id = r.stream_id
 WHERE s.name = %(stream)s

-- name: decisions
-- What became of the stream's records, by the sums of its batches.
SELECT coalesce(sum(b.admitted), 0)::bigint AS admitted, coalesce(sum(b.duplicates), 0)::bigint AS duplicates,
       coalesce(sum(b.quarantined), 0)::bigint AS quarantined
  FROM batch b JOIN run r ON r.id = b.run_id JOIN stream s ON s.id = r.stream_id WHERE s.name = %(stream)s

-- name: verdicts
-- The stream's verdicts, each with its sentence.
SELECT v.number, v.state, v.body ->> 'sentence' AS sentence
  FROM verdict v JOIN run r ON r.id = v.run_id JOIN stream s ON s.id = r.stream_id
 WHERE s.name = %(stream)s ORDER BY v.number
