"""Tables in schema truth of the projections that come with Passgate, guarded by their window's gate."""

from django.db import migrations

from ingest.projections.flights import FlightsWithWeather
from ingest.projections.weather import Weather


def guard(tables: tuple[str, ...]) -> str:
    return "".join(f"SELECT guard_truth_table('{table}');" for table in tables)


class Migration(migrations.Migration):
    # guard_truth_table's policy looks at the gate
    dependencies = [("ingest", "0002_rules"), ("audit", "0002_rules")]

    operations = [
        migrations.RunSQL(projection.ddl + guard(projection.tables), migrations.RunSQL.noop)
        for projection in (Weather, FlightsWithWeather)
    ]
