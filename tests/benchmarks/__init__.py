"""The benchmarks run, and report what they saw. No test here looks at how long anything took."""
