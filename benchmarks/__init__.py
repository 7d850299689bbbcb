"""One script per measurement: what we do beside what it is compared with, in the same run."""
