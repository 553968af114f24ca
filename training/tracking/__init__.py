"""Trainings recorded by other programs' libraries, TensorBoard's and MLflow's, which are extras and need not be there.

May import events and errors; only the CLI uses it.
"""
