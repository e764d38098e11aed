"""What a run was asked for: fetches, feeds, options; and what it answers about itself."""
