"""Requirements: rewriting for new versions, siblings without a version, and availability on indexes."""
