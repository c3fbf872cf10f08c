"""Two things that took most of writing an attempt down, and that nothing is read by.

Places are looked up by their event: an index by attempt cost as much as their primary key. An attempt's offsets and
partitions are written once and read once: compressing them took ten times as long as writing them (13 bytes an event).
"""

from django.db import migrations

_STORAGE = "ALTER TABLE attempt_batch ALTER offsets SET STORAGE {0}, ALTER partitions SET STORAGE {0}"


class Migration(migrations.Migration):
    dependencies = [("ingest", "0004_position_taken_at")]

    operations = [
        migrations.RemoveIndex("place", "place_attempt"),
        migrations.RunSQL(_STORAGE.format("EXTERNAL"), _STORAGE.format("EXTENDED")),
    ]
