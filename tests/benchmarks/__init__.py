"""The benchmarks run, and report their results. No test here looks at how long anything took."""
