"""Input pipelines of queues: producers, batches, and the threads that feed them."""
