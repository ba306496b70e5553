"""`python -m flexrel_sim` is `flexrel-sim`."""

from flexrel_sim.cli import main

if __name__ == "__main__":
    main()
