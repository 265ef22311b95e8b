"""Settings of the whole test run."""

from hypothesis import settings

# The same examples in every run, whatever the speed of the machine: a red run can be repeated.
settings.register_profile("wsframe", derandomize=True, deadline=None, database=None)
settings.load_profile("wsframe")
