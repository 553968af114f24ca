"""A worker that ends as soon as it is ready."""

from tests.app.inference.programs import greet

if __name__ == "__main__":
    greet().close()
