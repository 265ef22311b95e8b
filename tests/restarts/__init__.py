"""Rolling restarts of real processes under load; ``nox -s restarts`` writes the record."""
