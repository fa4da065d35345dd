"""HTTP/1.1 server of one process: an event loop owns the connections, threads run the requests."""
