"""What `publish` and `publish-test` share: what is looked at, what stands against it, in which order it goes."""
