"""Policy: the thresholds of all decisions on where and how nodes run, in one place.

Seconds and bytes where nothing else is said. Each section names the benchmarks that showed the values, on the machine
of benchmarks/RESULTS.md; they were put together on 2026-11-28. Run these benchmarks before and after you change one.
"""

from __future__ import annotations

# Sharing out while a run goes on: `benchmarks.oneshot`, `benchmarks.metg`

HOP = 150e-6
"""Seconds of ready work from which a message to a worker pays: it takes a third of that, packed and unpacked."""
ROUND_TRIP, THREAD_ROUND_TRIP = 0.6e-3, 0.2e-3
"""Seconds from one batch of a worker, or of a thread, to the next one that takes its values: less work is not split."""
SHORTEST_BATCH, LONGEST_BATCH, LONGEST_FINAL_BATCH = 0.3e-3, 4e-3, 10e-3
"""Seconds of work in a batch, at least and at most, if its nodes are shorter. The last is for nodes of known cost whose
values no other node waits for."""
BATCHES_A_LANE = 8
"""A batch is at most such a part of the work that is left, for each lane."""
CALLS_BEFORE_HERE = 8
"""Calls of a function that must have been seen before others of it run in the caller: it feeds the lanes."""
UNSEEN_IN_A_ROW = 8
"""Nodes that were never seen which go to a lane behind another such one, at most."""
GUESSED_SECONDS = 1e-3
"""Seconds of a function that was never seen, to order nodes by."""
DROPPED_FROM_BYTES = 64 * 1024
"""Bytes of a value from which workers are told that nobody needs it any more."""
AHEAD_OF_A_LANE = 1e-3
"""Seconds of work that a lane has left when it is given the next batch, where it is known what batches take."""
MOST_FED = 10_000_000
"""Bytes of feeds of a run without a plan: each of its parts that runs elsewhere sends them there anew."""
MOST_WORKERS = 64
"""Local workers that a run is shared out among: each is a process of some 60 MB."""
WORKER_START = 0.2
"""Seconds of a CPU that the start of one takes, most of it for imports."""

# First runs of large graphs: `benchmarks.bound`, `benchmarks.oneshot`

LEAST_COLD_NODES = 20
"""Nodes from which a graph may run without a plan, and nodes for each unseen function: to try one takes 0.5 to 4 ms."""
MOST_SPREAD = 16
"""Tensors of the graph for each node of a run, up to which it may: a run has a place for each of them."""
FIRST_CALLS = 4
"""First calls at most that try a function: one alone would leave the other slots idle, however long it takes."""
HEAVY_CALL = 1e-3
"""Seconds from which the first calls tell that a function is heavy: what shorter ones took may have been the start."""
PLANNING_A_NODE, COLD_OVERHEAD_A_NODE = 12e-6, 0.2e-6
"""Seconds a node that a plan takes, and that a run without one takes longer than one with it."""
CHUNK = 256
"""Calls between two looks at the clock."""
FIRST_CALLS_AMONG = 300
"""Nodes among which first calls are looked for."""
OFTEN_CALLED = 10
"""Calls for each slot from which a function is only tried: else its calls are so few that some do more than to try."""
WORTH_SHARING_ONCE = 0.1
"""Seconds of work from which what runs once is shared out: to plan that and to start it elsewhere takes some 20 ms."""
WORTH_PLANNING_ONCE = 40e-6
"""Seconds of an average node from which what runs once is shared out: a node costs some 10 us until it is planned."""

# Where a node runs: `benchmarks.coarse`, `benchmarks.mixed`, `benchmarks.big_arrays`

WORTH_A_TASK = 5e-3
"""Seconds from which a node is worth a Ray task of its own where something can run beside it: several dispatches."""
REMOTE_BYTES = 100 * 1024
"""Values larger than this stay where they were made: Ray copies smaller ones with the message."""
WORTH_A_JOURNEY = 1_000_000
"""Bytes from which work goes to where its inputs lie: between machines they take as long as the dispatch of a task."""
UNKNOWN_BYTES = 1e6
"""Of a value of unknown shape from a function that was never seen: it may be large."""
PARALLEL_GAIN = 1.15
"""Work over critical path from which leaving the caller pays."""

# Which ways to run compete, and for how long: `benchmarks.replays`, `benchmarks.metg`, `benchmarks.small`

TRIES = 3
"""Runs that a candidate gets, of which the median counts."""
AGAIN_AFTER, AGAIN_LATER = 40, 10
"""Runs after which those that had a chance are tried again, and then after ten times as many and so on.

A program's first runs are slow, three can be lucky, and a machine may be busy for a while.
"""
HOPELESS = 1.1
"""A candidate that is predicted to take so many times what another took is not tried: a try is a run of the user's."""
NEAR = 1.5
"""One that took up to so many times what the best took is tried again later: it may have met a busy time."""
DOUBT = 1.05
"""Several workers must be faster than the caller alone by so much: three runs can be lucky."""
MOVED_WORK = 0.3
"""Of the predicted work: a change by less makes no new plan."""
GAIN = 0.85
"""A way with more than one worker must be predicted to take at most so much of the seconds of the caller alone."""
WORTH_THREADS = 150e-6
"""Seconds of work, in nodes that are long, from which more than one worker is thought about."""
MOST_OF, NEARLY_ALL = 0.5, 0.75
"""Of the work: from so much on that keeps the GIL threads are no use; a static plan wants so much that is stable."""
LONG_NODE = 3e-6
"""Seconds of a node that can do something beside the interpreter's work of calling it."""
WORTH_TASKS = 8e-3
"""Seconds of work from which tasks are thought about."""
PROCESS_HOP = 60e-6
"""Seconds that a value takes from one process to another, pickled and unpickled."""
SECONDS_A_BYTE = 1e-9
"""What it takes longer for each byte: it is copied twice, to memory that is new and must be made first."""
SHARED_NODE = 15e-6
"""Seconds in the caller for each node that is given to a worker in a batch."""
MOST_SLOTS = 16
"""Slots of a plan for residents: each is a process of some 100 MB."""
DISPATCHES = 4
"""A cluster for a task is worth so many dispatches where there are many, and half of that on average at least."""
CLUSTERS_A_SLOT = 8
"""Clusters for each slot, at least, where they are worth it: costs are not foreseen so well that slots never wait."""

# What is measured, and how it is remembered: `benchmarks.replays`, `benchmarks.oneshot`

NEW_CALL_WEIGHT = 0.3
"""Of a new measurement of a function against its mean so far."""
OUTLIER = 4.0
"""A measurement counts at most so many times the mean: one interruption must not move a node to another machine."""
FAR_OFF = 1.25
"""Times that many calls together may take more or less than predicted before predictions are scaled to it."""
STABLE_AFTER, STABLE_SPREAD = 2, 0.2
"""Calls of a node after which it may be called stable, and the spread up to which it is."""
EVEN_AFTER = 8
"""Calls of a function after which its calls may be said to take equally long, if their spread is that small."""
GIL_HOLDS = 3
"""Times that a function must have been seen to keep the GIL."""
NEW_RUN_WEIGHT = 0.3
"""Of a new measurement of a node against its mean so far."""
REPLAN_AT = frozenset({1, 2, 4, 16, 64, 256})
"""Runs of a specialization after which its plan is made again, if the history or the cluster has changed."""
COMPARING_A_NODE, COMPARING_SHARE = 30e-6, 0.25
"""Seconds a node that it takes to compare all ways to run a dataflow, and the part of its work up to which that is done
after the first runs though no mean has moved much."""
MEASURED_RUNS = 2
"""Runs of a signature in which every node is measured."""
HOT_RUNS = 40
"""Runs of a signature after which all its programs are compiled: 20 us a node, to save a fraction of one a run."""
COMPILED_IN_A_RUN = 64
"""Nodes: a program of so many is compiled a run sooner, so that no run takes very much longer for it."""

# Plans: `benchmarks.planning`, `benchmarks.memory`

UNWATCHED_SECONDS = 200e-6
"""Seconds for which a run that is told to stop may go on with short nodes."""
MOST_UNWATCHED = 32
"""Nodes that it may go on with, for short ones may turn out long."""
SLOTS_LOOKED_AT = 8
"""Slots up to which each is tried for each node; with more, those of the predecessors and the one free first."""
DEPTH_FIRST_BYTES = 64 * 1024 * 1024
"""Bytes that the values of a segment have together, from which it matters how soon they are used."""
BUDGET_SHARE = 0.5
"""Of the object store that a run may fill: Ray begins to spill at 0.8, and other runs and variables are there too."""
NEGLIGIBLE_BYTES = 32 * 1024 * 1024
"""Bytes of all large values of a plan together below which nobody counts."""

# Branches, loops and copies of stragglers: `benchmarks.overheads`, `benchmarks.coarse`

NESTED_TRIES = 2
"""Runs of a body after which it is known what its nodes cost."""
NESTED_GAIN, NESTED_LOSSES = 0.9, 12
"""Of the seconds that a nested operation's nodes take: if it does not take less so many times in a row, it is vain."""
ELEMENTS_TOGETHER = 64
"""Iterations that are unrolled at most, whatever `parallel_iterations` allows: each is planned."""
NESTED_AT_ONCE = 16
"""Calls of a run that are on their way at a time: each is a thread."""
NESTED_AGAIN = 4.0
"""Times the seconds for which it was vain, from which a nested operation is tried again: the inputs have grown."""
ATTEMPTS = 3
"""Tries of a segment whose process dies under it."""
LATE_AFTER = 1.0
"""Seconds before which no attempt is a straggler."""
FAR_LONGER = 4.0
"""Times the predicted seconds after which an attempt is a straggler."""
