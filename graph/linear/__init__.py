"""Linear operators: matrices that are described by their structure, so that no dense matrix is needed."""
