"""Event loop of one API process, and the threads that work for it."""
