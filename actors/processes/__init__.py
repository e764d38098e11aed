"""The processes that run programs, and the messages between them."""
