"""tf.contrib.staging: values that wait from one run to another."""

from weftwork.graph.ops.staging import MapStagingArea as MapStagingArea
from weftwork.graph.ops.staging import StagingArea as StagingArea
