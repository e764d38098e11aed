"""Files: the file system, records, examples and their parsing, and nodes that read and write files."""
