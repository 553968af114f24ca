"""A worker that stays until the service hangs up."""

from tests.app.inference.programs import greet

if __name__ == "__main__":
    with greet() as connection:
        while connection.recv(65_536):
            pass
