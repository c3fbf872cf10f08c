"""Pure: functions on frozen dataclasses. No Django, no Kafka, no SQL, no clock, no randomness."""
