"""What only benchmarks can raise."""

from whisker.model.errors import WhiskerError


class BenchmarkError(WhiskerError):
    """A server did not start, or a measurement could not be made."""
