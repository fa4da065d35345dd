"""Client of a running server for the commands: its address, requests, and what is printed."""
