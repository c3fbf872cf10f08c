"""`/system/…`: is the machine well."""
