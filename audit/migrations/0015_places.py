"""Fresh runs stand for the whole of a window, and for nothing else beside it: see sql/places.sql."""

from django.db import migrations

from audit.migrations.sql import sql_text


class Migration(migrations.Migration):
    dependencies = [("audit", "0014_basis")]

    operations = [migrations.RunSQL(sql_text("places"), migrations.RunSQL.noop)]
