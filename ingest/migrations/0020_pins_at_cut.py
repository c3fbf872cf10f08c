"""Contracts whose windows are pinned to a context's PASS once they are cut: rules in audit/migrations/sql/pins.sql."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ingest", "0019_free_records")]

    operations = [
        migrations.AddField("contract", "pins_at_cut", models.BooleanField(db_default=False)),
        migrations.AddField("windowpin", "moment", models.DateTimeField(null=True)),
    ]
