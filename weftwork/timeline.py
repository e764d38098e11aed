"""tf.timeline: timelines of traced runs, for chrome://tracing and Perfetto."""

from weftwork.scheduler.views.timeline import StepStatsAnalysis, Timeline

__all__ = ["StepStatsAnalysis", "Timeline"]
