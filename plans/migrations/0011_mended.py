"""Only plans that prove a window write again what is missing of it: see sql/mended.sql."""

from django.db import migrations

from plans.migrations.sql import sql_text


class Migration(migrations.Migration):
    dependencies = [("plans", "0010_lost"), ("ingest", "0023_mended"), ("audit", "0021_mended")]

    operations = [migrations.RunSQL(sql_text("mended"), migrations.RunSQL.noop)]
