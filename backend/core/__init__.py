"""What every package stands on: settings, the clock, the database, errors, logs. Knows no domain."""
