"""The maintenance process: the reaper, retention and webhook delivery."""
