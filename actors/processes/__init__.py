"""The processes that run programs, and how they talk."""
