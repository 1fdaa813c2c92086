"""Starts the Python runtime. All of it is in mayfly_runtime, which is compiled ahead, as a script cannot be."""

from mayfly_runtime import main

if __name__ == "__main__":
    main()
