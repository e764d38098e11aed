"""Inspecting the threads of a process."""

from __future__ import annotations

from tests.programs import Program

PROGRAM = Program(
    script="""
import faulthandler, gc, os, threading, time
from weftwork.actors.programs.stack import frames_of_threads

faulthandler.dump_traceback_later(20, exit=True)

class Slow:
    def __init__(self):
        self.me = self

    def __del__(self):
        time.sleep(0.0005)

def look():
    while True:
        frames_of_threads()
        [Slow() for _ in range(3)]

def start():
    while True:
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()

gc.set_threshold(5)
for function in (look, start, start):
    threading.Thread(target=function, daemon=True).start()
time.sleep(1)
print("it goes on", flush=True)
os._exit(0)
"""
)


def test_inspecting_threads_during_garbage_collection_does_not_stop_the_program():
    ended = PROGRAM.done()
    assert ended.stdout == "it goes on\n", ended.stderr[-1000:]
