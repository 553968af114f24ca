"""A stand-in for the recording of CUDA graphs, where there is no GPU."""

from whisker.model.engines.cuda_engine import Compute, Recording


class Recorder:
    """Record as CUDA does: a replay reads and writes the memory that the recorded pass did."""

    def __init__(self) -> None:
        self.recorded: list[int] = []
        self.replayed: list[int] = []

    def __call__(self, compute: Compute, device: str) -> Recording:
        assert device == "cpu"
        features, maps = compute()
        self.recorded.append(len(features))

        def replay() -> None:
            self.replayed.append(len(features))
            again, maps_again = compute()
            features.copy_(again)
            if maps is not None and maps_again is not None:
                maps.copy_(maps_again)

        return Recording(replay, features, maps)
