"""The runtimes of a network behind one interface."""
