"""A fresh run would be without events that a correction made: see sql/corrected_places.sql."""

from django.db import migrations

from audit.migrations.sql import sql_text


class Migration(migrations.Migration):
    dependencies = [("audit", "0022_covered_contexts")]

    operations = [migrations.RunSQL(sql_text("corrected_places"), migrations.RunSQL.noop)]
