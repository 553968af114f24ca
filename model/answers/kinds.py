"""The kinds of answers: which tasks a checkpoint can have, how far an answer can be trusted, and which heat maps.

Without NumPy, as a client that only asks a service has none.
"""

from typing import Literal, get_args

Task = Literal["single-label", "multi-label"]
TASKS: tuple[Task, ...] = get_args(Task)  # one class for each picture, or any number of them
Verdict = Literal["confident", "unsure", "unknown"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
NO_CLASS, BEST_CLASS = -2, -1  # instead of a class index: no heat map, and one for the best class
OPACITY = 0.7  # of a heat map over its picture
