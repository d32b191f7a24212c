"""What every Python worker is: an engine that answers lines on standard input.

`observe PITCH STEP DURATION` answers the prediction for the next note: 129 pitch logits, step, duration.
`restart` forgets everything observed.
`time WARM NOTES` feeds notes and answers the nanoseconds that each took after the first WARM.

Every answer is a line of JSON. The first line, unasked, says {"version": …}, and with which
settings where a worker has a choice; or {"error": …}, and the worker ends.
"""

import gc
import json
import random
import sys
import time

BOS = 128


def serve(make):
    """Serves the engine `make(model, threads)`, where the command line names model and threads.

    An engine has a `version`; `restart()`; `prepare(pitch, step, duration)`, which lays its inputs
    out; `run()`, which is what is timed; and `prediction()`, 131 numbers.
    """
    try:
        model, threads = sys.argv[1:]
        engine = make(model, int(threads))
    except Exception as error:
        return say({"error": f"{type(error).__name__}: {error}"})
    say({"version": engine.version, "setting": getattr(engine, "setting", "")})
    for line in sys.stdin:
        verb, *numbers = line.split()
        if verb == "restart":
            engine.restart()
            say(None)
        elif verb == "observe":
            pitch, step, duration = numbers
            engine.prepare(int(pitch), float(step), float(duration))
            engine.run()
            say([float(value) for value in engine.prediction()])
        elif verb == "time":
            say(timed(engine, *map(int, numbers)))


def timed(engine, warm, notes):
    draw = random.Random(0)
    times = []
    gc.disable()
    for _ in range(warm + notes):
        engine.prepare(draw.randrange(21, 109), draw.random(), draw.random())
        start = time.perf_counter_ns()
        engine.run()
        times.append(time.perf_counter_ns() - start)
    gc.enable()
    return times[warm:]


def say(answer):
    print(json.dumps(answer), flush=True)
