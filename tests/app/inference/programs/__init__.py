"""Inference workers that load nothing, and do what no good one does."""

import json
import socket
import struct
import sys


def greet() -> socket.socket:
    """Say that the worker is ready; return the connection."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    greeting = json.dumps({"ready": {"batch_seconds": {}, "card": None}}).encode()
    connection.sendall(struct.pack("<I", len(greeting)) + greeting + struct.pack("<I", 0))
    return connection
