"""`python -m sfg_nas`: the command line."""

from sfg_nas.cli import main

if __name__ == "__main__":
    main()
