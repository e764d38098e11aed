"""The cluster and this machine's processes. The only wing that imports Ray."""
