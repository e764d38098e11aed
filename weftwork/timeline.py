"""tf.timeline: what a traced run did, for chrome://tracing and Perfetto."""

from weftwork.scheduler.views.timeline import StepStatsAnalysis, Timeline

__all__ = ["StepStatsAnalysis", "Timeline"]
