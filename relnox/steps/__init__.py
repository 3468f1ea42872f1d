"""The steps of plans, a module for each topic: what each is, when it is done, how it is done and verified."""
