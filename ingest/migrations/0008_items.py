"""A resolved item that arrives again opens again, and an item begins open: see sql/items.sql."""

from django.db import migrations

from ingest.migrations.sql import sql_text


class Migration(migrations.Migration):
    dependencies = [("ingest", "0007_turns")]

    operations = [migrations.RunSQL(sql_text("items"), migrations.RunSQL.noop)]
