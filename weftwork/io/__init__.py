"""tf.io: reading and writing files, records, examples and pictures."""

from weftwork.graph.files.records import TFRecordCompressionType, TFRecordOptions, TFRecordWriter, tf_record_iterator
from weftwork.io import gfile

__all__ = ["TFRecordCompressionType", "TFRecordOptions", "TFRecordWriter", "gfile", "tf_record_iterator"]
