"""Tags: their names, the packages of existing tags, and settings that continue their form."""
