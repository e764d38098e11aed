"""The cluster. Ray is imported here and nowhere else."""
