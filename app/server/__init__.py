"""Sockets, processes and uvicorn: how the application is run, watched and stopped.

May import everything in `whisker.app` but commands and batch. Only uvicorn_internals imports uvicorn.
"""
