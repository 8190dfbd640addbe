"""`python -m nexova`: the command line, from a checkout as well as installed."""

from cli.main import main

if __name__ == "__main__":
    main()
