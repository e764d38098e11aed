"""Views: what people see of runs. Each reads events; none of them changes how a run goes."""
