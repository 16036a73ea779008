"""`python3 -m production_server VERB`."""

from production_server.cli import main

if __name__ == "__main__":
    main()
