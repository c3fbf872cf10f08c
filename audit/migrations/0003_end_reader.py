"""The function that ends a reader's backend when its gate shuts: see sql/end_reader.sql."""

from django.db import migrations

from audit.migrations.sql import sql_text


class Migration(migrations.Migration):
    dependencies = [("audit", "0002_rules")]

    operations = [migrations.RunSQL(sql_text("end_reader"), "DROP FUNCTION end_reader(integer)")]
