"""A worker that says that it computes on a GPU, and stays until the service hangs up."""

from tests.app.inference.programs import greet

if __name__ == "__main__":
    with greet({"device": "cuda", "engine": "cuda-graphs", "sha256": "0"}) as connection:
        while connection.recv(65_536):
            pass
