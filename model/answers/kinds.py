"""The kinds of answers: which tasks a checkpoint can have, and how far an answer can be trusted.

Without NumPy, as a client that only asks a service has none.
"""

from typing import Literal, get_args

Task = Literal["single-label", "multi-label"]
TASKS: tuple[Task, ...] = get_args(Task)  # one class for each picture, or any number of them
Verdict = Literal["confident", "unsure", "unknown"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
