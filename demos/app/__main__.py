"""`python -m demos.app`."""

from demos.app.command import main

if __name__ == "__main__":
    main()
