"""Views: how people see runs. Each reads events; none affects how a run goes."""
