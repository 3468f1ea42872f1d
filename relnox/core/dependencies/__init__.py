"""Requirements: rewriting for new versions, and siblings without a version."""
