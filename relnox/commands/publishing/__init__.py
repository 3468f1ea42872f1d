"""Common parts of `publish` and `publish-test`: inspection, preflight checks, and order of the steps."""
