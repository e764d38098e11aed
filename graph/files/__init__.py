"""Files: the file system, records, examples and their parsing, and the nodes that read and write."""
