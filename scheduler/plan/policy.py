"""Policy: the thresholds for all decisions on where and how nodes run, in one place.

Units are seconds and bytes unless a comment says otherwise. Each section names the benchmarks that its values come
from, on the machine of benchmarks/RESULTS.md, as of 2026-11-28. Run them before and after you change a value.
"""

from __future__ import annotations

# Sharing out while a run goes on: `benchmarks.oneshot`, `benchmarks.metg`

HOP = 150e-6
"""Minimum seconds of ready work that justify a message to a worker. A message costs a third of that, with pickling."""
ROUND_TRIP, THREAD_ROUND_TRIP = 0.6e-3, 0.2e-3
"""Seconds from a batch of a worker, or of a thread, to the next batch that reads its values. Less work is not split."""
MEETING, THREAD_MEETING = 1.2e-3, 0.2e-3
"""Seconds that lanes lose where a node reads values of several of them: one of them has to wait."""
COMPUTES = 0.6
"""Fraction of its time for which a call beside others must have a core to be taken to compute, so that the rest was
spent waiting for the GIL."""
WORTH_A_THREAD, SHORT_FOR_A_THREAD = 0.2e-3, 40e-6
"""Minimum seconds of ready work that justify calling a thread of this process, and of a node that one gets. Calling one
takes some 0.1 ms, and so does what both do afterwards, which needs the GIL."""
LONGEST_TURN = 0.4e-3
"""Maximum seconds of short nodes that a thread of this process takes at once."""
WATCHED_FROM, LONGEST_WATCH = 0.1e-3, 20e-3
"""Minimum seconds of a node whose call in the caller is watched to see if it holds the GIL, which takes some 20 us. And
the seconds for which a cold run watches its calls to decide where the rest runs."""
CROWDED_FROM = 1e-3
"""Minimum seconds of a node whose calls beside others show what its function gains from threads."""
CROWD_SEEN, CROWD_RUNS = 0.2, 8
"""Seconds of calls of a function beside each other in threads that show what they gain there, and the number of runs in
which that is looked at."""
CROWDED, GIL_FREE, QUEUED = 0.3, 0.2, 0.25
"""Fraction of their time from which such calls wait for the GIL too long, so that processes suit them better; the
fraction of it for which the GIL may be free if it is what they wait for, unless they are known to compute: it is free
while a thread that waits for it wakes up; and the fraction of it from which calls without a core tell nothing."""
SHORTEST_BATCH, LONGEST_BATCH, LONGEST_FINAL_BATCH = 0.8e-3, 4e-3, 40e-3
"""Minimum and maximum seconds of work in a batch of short nodes. The third limit is for nodes of known cost whose
values no other node waits for."""
TASK_HOP, TASK_ROUND_TRIP = 1e-3, 4e-3
"""Minimum seconds of ready work that justify a Ray task, and those from a task to one that reads its values."""
TASK_CARE, FEEDING, SHORTEST_TASK = 1e-3, 2, 4e-3
"""CPU seconds of the caller for each task, how many times as long tasks shall keep all lanes busy meanwhile, and the
minimum seconds of short nodes in a task. The other lengths of batches grow in proportion."""
BATCHES_A_LANE = 4
"""Minimum number of batches into which each lane's share of the remaining work is split."""
CALLS_BEFORE_HERE = 8
"""Measured calls of a function before the caller, which feeds the lanes, runs any of its nodes itself."""
COPYING_SHARE, CALLS_BEFORE_COPYING = 0.5, 2
"""Fraction of a node's seconds that it may take to copy its values to a worker and back. A longer copy costs the caller
as much as the call. And the measured calls of a function that must show this."""
LONGEST_HERE, LITTLE_WORK = 0.5e-3, 25e-3
"""Maximum seconds of a node that the caller runs while lanes may wait for their next batch, and of all the work that
is left then."""
LOOK_FOR_MESSAGES, LOOK_FOR_WORKERS = 0.2e-3, 2e-3
"""Minimum seconds between two looks for messages while the caller calls nodes: if a worker is busy, and if none is, so
that only one that has come up can have sent any."""
UNSEEN_IN_A_ROW = 8
"""Maximum number of nodes of unknown cost that follow another such node in a batch."""
URGENT = 0.2
"""Fraction of the time that is left from which the path from a node to the end is long."""
GUESSED_SECONDS = 1e-3
"""Assumed seconds of a function that was never seen, for ordering nodes."""
DROPPED_FROM_BYTES = 64 * 1024
"""Minimum bytes of a value that workers are asked to drop as soon as nobody needs it."""
AHEAD_OF_A_LANE, AHEAD_SHARE = 1e-3, 0.25
"""Seconds of work that a lane has left when it is given the next batch, if batch times are predictable; for long
batches, the fraction of their length, because the caller may be busy with the results of another one."""
MOST_FED, MOST_COPIED = 10_000_000, 1_000_000_000
"""Maximum bytes of feeds for a run without a plan, and of all sources for one that calls new functions in local workers
rather than in tasks: each worker gets a copy. The second limit is for all copies in a program without Ray, which takes
three seconds to start."""
MOST_WORKERS = 64
"""Maximum number of local workers that share one run. Each is a process of some 60 MB."""
WORKER_START = 0.2
"""CPU seconds to start a local worker, mostly for imports."""

# First runs of large graphs: `benchmarks.bound`, `benchmarks.oneshot`

LEAST_COLD_NODES, LEAST_COLD_CALLS = 20, 6
"""Minimum nodes for a run without a plan, in all and for each unseen function: trying one takes 0.5 to 4 ms."""
MOST_BRIEF = 1_000_000
"""Maximum bytes of all sources of a small dataflow whose new functions are called here at once."""
MOST_SPREAD = 16
"""Maximum tensors of the graph for each node of a run without a plan, which keeps a list entry for each tensor."""
FIRST_CALLS = 4
"""Maximum number of first calls that try a function. One alone would leave the other slots idle, however long it
takes."""
HEAVY_CALL = 1e-3
"""Minimum seconds of a first call that mark a function as heavy. Shorter ones may only show start-up time."""
PLANNING_A_NODE = 40e-6
"""Seconds for each node to compile a dataflow, to compare its plans, and to measure it in two runs."""
COLD_SCALAR, COLD_OBJECT, COLD_LIBRARY = 0.15e-6, 2.5e-6, 0.8e-6
"""Extra seconds for each node of a run without a plan, while all values are scalars, and otherwise. The third number is
added for a node of the library, whose calls a compiled program does without."""
CHUNK, LOOK_AT_PACE = 256, 1e-3
"""Maximum number of calls, and of seconds, after which a cold run looks whether the rest is worth sharing out."""
FIRST_CALLS_AMONG = 300
"""Nodes that are searched for first calls."""
MOST_TRIED_AT_ONCE = 2500
"""Maximum number of nodes that are planned without a trial on a cluster, which takes 0.1 s, as `PLANNING_A_NODE`."""
OFTEN_CALLED = 10
"""Minimum calls per slot of a function that gets only a trial. With fewer, the trial makes a good part of the calls
already."""
WORTH_SHARING_ONCE, WORTH_SHARING_NOW = 0.1, 0.025
"""Minimum seconds of work to share out a run that may never be repeated, and the same if the local workers are up."""
SHARING_ONCE, SHARING_A_NODE = 5e-3, 30e-6
"""Seconds that sharing out such a run takes, and those for each node: to plan it, to hand it out, and to take what it
has made."""

# Where a node runs: `benchmarks.coarse`, `benchmarks.mixed`, `benchmarks.big_arrays`

WORTH_A_TASK = 5e-3
"""Minimum seconds of a node that gets a Ray task of its own if other work can overlap with it: several dispatches."""
REMOTE_BYTES = 100 * 1024
"""Values larger than this stay where they were made; Ray sends smaller ones in the message."""
WORTH_A_JOURNEY = 1_000_000
"""Minimum bytes of inputs that work moves to: sending them to another machine takes as long as dispatching a task."""
UNKNOWN_BYTES = 1e6
"""Assumed bytes of a value of unknown shape from a function that was never seen. It may be large."""
PARALLEL_GAIN = 1.15
"""Minimum ratio of total work to critical path for which leaving the caller pays."""

# Which ways to run compete, and for how long: `benchmarks.replays`, `benchmarks.metg`, `benchmarks.small`

TRIES = 3
"""Runs of each candidate. Their median counts."""
TRYING_A_NODE = 15e-6
"""Extra seconds per node that the first runs of a static plan take: programs are sent, loaded and balanced."""
AGAIN_AFTER, AGAIN_LATER = 40, 10
"""Runs after which promising candidates are tried again, and then after ten times as many, and so on.

A program's first runs are slow, three can be lucky, and a machine may be busy for a while.
"""
TRIAL_LOSS = 0.3
"""Fraction of a run that the trial of a static plan is taken to lose, because predictions err. A trial waits until its
predicted gain would have made up for it in the runs so far."""
HOPELESS = 1.1
"""A candidate predicted to take this many times the seconds of a measured one is not tried: each try is a run of the
user's."""
SLOWED, SLOW_RUNS = 1.3, 2
"""Multiple of its usual seconds from which a run of a plan for slots is slow, and the number of such runs in a row
after which the plan is taken to have lost a core. Only sharing out as the run goes on can do with part of one."""
NEAR = 1.5
"""A candidate within this factor of the best one is tried again later: the machine may have been busy."""
DOUBT = 1.05
"""Factor by which several workers must beat the caller alone: three runs can be lucky."""
MOVED_WORK = 0.3
"""Fraction of the predicted work that must change before a new plan is made."""
LONGER_NODES = 4.0
"""Multiple of the predicted work from which the caller's plan is made anew: it checks too rarely whether to stop."""
GAIN = 0.85
"""A strategy with several workers must promise to take at most this fraction of the caller's seconds."""
WORTH_THREADS = 150e-6
"""Minimum seconds of work, in long nodes, for which several workers are considered."""
MOST_OF = 0.5
"""Fraction of the work. If more than this holds the GIL, threads are not considered. A static plan needs this much to
be stable."""
LONG_NODE = 3e-6
"""Minimum seconds of a node that does more than what it costs the interpreter to call it."""
WORTH_TASKS, WORTH_TASKS_HERE = 8e-3, 0.25
"""Minimum seconds of work for which tasks are considered, and the same if there is only one machine: there, local
workers do what tasks could, and just measuring the dispatch of a task takes 0.1 s in a new program."""
PROCESS_HOP = 60e-6
"""Seconds to send a value from one process to another, with pickling."""
SECONDS_A_BYTE = 1e-9
"""Extra seconds for each byte, which is copied twice into freshly allocated memory."""
SHARED_RUN, SHARED_NODE = 2e-3, 25e-6
"""Seconds that sharing out a run takes beyond its work, and those for each node."""
MOST_SLOTS = 16
"""Maximum number of slots of a plan for local workers. Each is a process of some 100 MB."""
DISPATCHES = 4
"""Seconds of a task's cluster, in dispatches, if there are many clusters; on average at least half of that."""
CLUSTERS_A_SLOT = 8
"""Minimum clusters per slot, if they are long enough: predictions are too rough to fill slots with fewer."""

# What is measured, and how it is remembered: `benchmarks.replays`, `benchmarks.oneshot`

NEW_CALL_WEIGHT = 0.3
"""Weight of a new measurement of a function against its mean so far."""
OUTLIER = 4.0
"""A measurement is capped at this many times the mean: one interruption must not move a node to another machine."""
FAR_OFF = 1.25
"""Factor by which the sum of many calls may miss its prediction before the means are scaled."""
STABLE_AFTER, STABLE_SPREAD = 2, 0.2
"""Minimum calls, and maximum spread, of a stable node."""
STABLE_SUM = 0.03
"""Maximum standard deviation of what many calls of a function take together, as a fraction of it, for a static plan."""
EVEN_AFTER = 8
"""Minimum calls of a function before a small spread counts as evidence that all its calls take the same time."""
GIL_HOLDS = 3
"""Times that a function must be seen holding the GIL before it is believed."""
NEW_RUN_WEIGHT = 0.3
"""Weight of a new measurement of a node against its mean so far."""
REPLAN_AT = frozenset({1, 2, 4, 16, 64, 256})
"""Run numbers of a specialization at which its plans may be made anew."""
COMPARING_A_NODE, COMPARING_SHARE = 30e-6, 0.25
"""Seconds for each node to compare all strategies for a dataflow, and the fraction of the work of all its runs up to
which that is worth doing even if no mean has changed considerably."""
MEASURED_RUNS = 2
"""First runs of a signature in which every node is measured."""
HOT_RUNS, HOT_LIBRARY_RUNS = 40, 8
"""Runs of a signature after which its programs are compiled, and the same without users' functions. That takes 25 us or
4 us for each node, and saves 0.5 us in each run."""

# Plans: `benchmarks.planning`, `benchmarks.memory`

UNWATCHED_SECONDS = 200e-6
"""Seconds of short nodes that may run between two checks whether the run should stop."""
MOST_UNWATCHED = 32
"""Maximum number of nodes between two such checks, because short nodes may turn out long."""
SLOTS_LOOKED_AT = 8
"""Maximum number of slots that are all tried for each node. With more, only its predecessors' slots and the first free
one are."""
DEPTH_FIRST_BYTES = 64 * 1024 * 1024
"""Minimum bytes of a segment's values for which their order of use matters."""
BUDGET_SHARE = 0.5
"""Fraction of the object store that a run may fill. Ray begins to spill at 0.8, and other runs and variables need room
too."""
NEGLIGIBLE_BYTES = 32 * 1024 * 1024
"""Bytes of all large values of a plan below which memory is not budgeted."""

# Branches, loops and copies of stragglers: `benchmarks.overheads`, `benchmarks.coarse`

NESTED_TRIES = 2
"""Runs of a body after which the costs of its nodes are considered known."""
NESTED_GAIN, NESTED_LOSSES = 0.9, 12
"""Running an operation nested must take less than this fraction of its nodes' seconds. If it fails to do so this many
times in a row, nesting does not pay for it."""
ELEMENTS_TOGETHER = 64
"""Maximum number of unrolled iterations, whatever `parallel_iterations` allows, because each one is planned."""
NESTED_AT_ONCE = 16
"""Maximum number of nested calls of a run at once. Each is a thread."""
NESTED_AGAIN = 4.0
"""An operation for which nesting did not pay is nested again once it takes this many times as long: its inputs have
grown."""
ATTEMPTS = 3
"""Attempts at a segment whose process dies."""
LATE_AFTER = 1.0
"""Seconds before an attempt can count as a straggler."""
FAR_LONGER = 4.0
"""Multiple of the predicted seconds after which an attempt counts as a straggler."""
