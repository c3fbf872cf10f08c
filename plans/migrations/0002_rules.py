"""What the database refuses about plans, and who may do what: see sql/plans.sql."""

from django.db import migrations

from plans.migrations.sql import sql_text


class Migration(migrations.Migration):
    dependencies = [("plans", "0001_initial"), ("audit", "0010_waivers"), ("ingest", "0014_words")]

    operations = [migrations.RunSQL(sql_text("plans"), migrations.RunSQL.noop)]
