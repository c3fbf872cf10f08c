-- name: stream
-- A stream's id, by its name.
SELECT id FROM stream WHERE name = %(name)s

-- name: add_stream
-- Waits for whoever is adding it; then no row comes, and `stream` sees theirs (ingest/db.py, found_or_made).
INSERT INTO stream (name) VALUES (%(name)s) ON CONFLICT ON CONSTRAINT stream_name_unique DO NOTHING RETURNING id

-- name: newest
-- The newest version of a stream's contract, to see whether a text that is loaded is another.
SELECT id, version, digest FROM contract WHERE stream_id = %(stream)s ORDER BY version DESC LIMIT 1

-- name: newest_of_stream
-- The newest version of the contract, by the stream's name.
SELECT c.id FROM contract c JOIN stream s ON s.id = c.stream_id WHERE s.name = %(name)s ORDER BY c.version DESC LIMIT 1

-- name: waiting_streams
-- The newest contracts of all other streams that are pinned when they are cut.
SELECT c.id FROM stream s
 CROSS JOIN LATERAL (SELECT id, pins_at_cut FROM contract WHERE stream_id = s.id ORDER BY version DESC LIMIT 1) c
 WHERE c.pins_at_cut AND s.name <> %(but)s

-- name: insert_contract
-- A text that comes back after another is a new version with an old digest: what held when is never rewritten.
INSERT INTO contract (stream_id, version, digest, source_text, files, loaded_by, republish_by_plan, free_records, pins_at_cut,
                      approvals)
SELECT %(stream)s, coalesce(max(version), 0) + 1, %(digest)s, %(text)s, %(files)s, %(actor)s, %(by_plan)s, %(free)s, %(pins_at_cut)s,
       %(approvals)s
  FROM contract WHERE stream_id = %(stream)s
RETURNING id, version

-- name: contract
-- One version of a contract with its text and files, and the stream it belongs to.
SELECT c.id, c.stream_id, c.version, c.digest, c.source_text, c.files, s.name
  FROM contract c JOIN stream s ON s.id = c.stream_id WHERE c.id = %(id)s

-- name: classes
-- The stream's event classes and the numbers they have in receipts and events.
SELECT id, name FROM event_class WHERE stream_id = %(stream)s

-- name: add_classes
-- Waits for whoever is adding one of them. What another transaction has added is not returned and not seen by this
-- statement, whose snapshot is older: `classes` is asked again afterwards.
INSERT INTO event_class (stream_id, name) SELECT %(stream)s, unnest(%(names)s::text[])
ON CONFLICT ON CONSTRAINT event_class_name_unique DO NOTHING
