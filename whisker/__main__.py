"""`python -m whisker`, and `torchrun -m whisker`."""

from whisker.cli import main

if __name__ == "__main__":
    main()
